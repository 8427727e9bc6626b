// RMS norm, alone or after a residual add, with an optional E4M3 output: one block a group.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/device/norm.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {
namespace {

constexpr int kMaxThreads = kMaxNormThreads;

// Where a block's group lies.
template <typename T, typename Out>
struct Group {
  const T* x;
  const T* residual;
  T* sum;
  Out* y;

  __device__ __forceinline__ explicit Group(const NormRows& rows) {
    const int64_t row = blockIdx.x;
    const int64_t column = static_cast<int64_t>(blockIdx.y) * rows.width;
    x = static_cast<const T*>(rows.x) + row * rows.x_stride + column;
    residual = static_cast<const T*>(rows.residual) + row * rows.residual_stride + column;
    sum = static_cast<T*>(rows.sum) + row * rows.sum_stride + column;
    y = static_cast<Out*>(rows.y) + row * rows.y_stride + column;
  }
};

// A thread keeps kHeld vectors of kWidth elements in registers. All that it reads is asked for
// before anything is used, weights even before the grid dependency: as they come, so that no
// conversion makes the first wait for them.
template <typename T, typename Out, int kWidth, int kHeld, bool kAdd>
__global__ void __launch_bounds__(kMaxThreads) rms_norm_kernel(NormRows rows) {
  if (!rows.late) device::launch_dependents();
  const Group<T, Out> group(rows);
  const T* weight = static_cast<const T*>(rows.weight);
  device::Vec<T, kWidth> values[kHeld], others[kHeld], weights[kHeld];
  const int step = blockDim.x * kWidth;
  const int first = threadIdx.x * kWidth;
  const auto for_slots = [&](auto function) {
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot) {
      const int at = first + slot * step;
      if (at < rows.width) function(slot, at);
    }
  };
  for_slots([&](int slot, int at) { weights[slot] = device::load_vec<kWidth>(weight + at); });
  device::wait_for_dependencies();
  for_slots([&](int slot, int at) {
    values[slot] = device::load_vec<kWidth>(group.x + at);
    if constexpr (kAdd) others[slot] = device::load_vec<kWidth>(group.residual + at);
  });
  const float scale = rows.output_scale != nullptr ? *rows.output_scale : 1.0f;
  float squares = 0.0f;
  for_slots([&](int slot, int at) {
    if constexpr (kAdd) {
      values[slot] = device::add_rounded(values[slot], others[slot]);
      *reinterpret_cast<device::Vec<T, kWidth>*>(group.sum + at) = values[slot];
    }
    squares = device::add_squares(squares, values[slot]);
  });
  const float factor = device::norm_factor(squares, rows.inverse_width, rows.epsilon);
  if (rows.late) device::launch_dependents();
  const float inverse = __frcp_rn(scale);
  for_slots([&](int slot, int at) {
    device::write_normed(group.y + at, values[slot], weights[slot], factor, inverse);
  });
}

// Rows of any length, read twice: `sum` the second time where there is a residual, so that what is
// normed is what was stored.
template <typename T, typename Out, int kWidth, bool kAdd>
__global__ void __launch_bounds__(kMaxThreads) rms_norm_long_kernel(NormRows rows) {
  device::launch_dependents();
  const Group<T, Out> group(rows);
  const T* weight = static_cast<const T*>(rows.weight);
  const int step = blockDim.x * kWidth;
  const int first = threadIdx.x * kWidth;
  device::wait_for_dependencies();
  float squares = 0.0f;
  for (int at = first; at < rows.width; at += step) {
    auto values = device::load_vec<kWidth>(group.x + at);
    if constexpr (kAdd) {
      values = device::add_rounded(values, device::load_vec<kWidth>(group.residual + at));
      *reinterpret_cast<device::Vec<T, kWidth>*>(group.sum + at) = values;
    }
    squares = device::add_squares(squares, values);
  }
  const float factor = device::norm_factor(squares, rows.inverse_width, rows.epsilon);
  const float inverse = __frcp_rn(rows.output_scale != nullptr ? *rows.output_scale : 1.0f);
  for (int at = first; at < rows.width; at += step)
    device::write_normed(group.y + at,
                         device::load_vec<kWidth>(kAdd ? group.sum + at : group.x + at),
                         device::load_vec<kWidth>(weight + at), factor, inverse);
}

template <typename T, typename Out, int kWidth, bool kAdd>
void launch_norm(const NormRows& rows, const Launch& where) {
  const NormLayout layout = norm_layout(rows.width, kWidth);
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows), static_cast<unsigned>(rows.groups));
  grid.threads = layout.threads;
  const int held = layout.held;
  if (!layout.fits) return launch(where, grid, rms_norm_long_kernel<T, Out, kWidth, kAdd>, rows);
  if (held == 1) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 1, kAdd>, rows);
  if (held == 2) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 2, kAdd>, rows);
  launch(where, grid, rms_norm_kernel<T, Out, kWidth, kMaxNormHeld, kAdd>, rows);
}

}  // namespace

void launch_rms_norm(const NormRows& rows, const Launch& where) {
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    dispatch_output<T>(rows.output, [&]<typename Out>(Out) {
      dispatch_width(rows.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        if (rows.residual != nullptr) return launch_norm<T, Out, kWidth, true>(rows, where);
        launch_norm<T, Out, kWidth, false>(rows, where);
      });
    });
  });
}

}  // namespace octavo::cuda

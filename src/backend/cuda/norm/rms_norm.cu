// RMS norm, alone or after a residual add, with an optional E4M3 output: one block a group.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {
namespace {

constexpr int kMaxThreads = 512;
constexpr int kMaxHeld = 4;

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

template <typename T, int kWidth>
__device__ __forceinline__ float add_squares(float squares, const device::Vec<T, kWidth>& vec) {
  float values[kWidth];
  device::to_floats(values, vec);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) squares += values[i] * values[i];
  return squares;
}

template <typename T, typename Out, int kWidth>
__device__ __forceinline__ void write(Out* y, const device::Vec<T, kWidth>& vec,
                                      const device::Vec<T, kWidth>& weight, float factor,
                                      float inverse) {
  float values[kWidth], scales[kWidth];
  device::to_floats(values, vec);
  device::to_floats(scales, weight);
#pragma unroll
  for (float& value : values) value *= factor;
  device::to_floats(values, device::round_all<T>(values));
#pragma unroll
  for (int i = 0; i < kWidth; ++i) values[i] *= scales[i];
  device::store_as<T, kWidth>(y, values, inverse);
}

__device__ __forceinline__ float norm_factor(const NormRows& rows, float squares) {
  __shared__ alignas(16) float scratch[16];
  const float mean = device::block_sum(squares, scratch) * rows.inverse_width;
  return rsqrtf(mean + rows.epsilon);  // within 2 ulp
}

// A thread keeps kHeld vectors of kWidth elements in registers. All that it reads is asked for
// before anything is used, weights even before the grid dependency: as they come, so that no
// conversion makes the first wait for them.
template <typename T, typename Out, int kWidth, int kHeld, bool kAdd>
__global__ void __launch_bounds__(kMaxThreads) rms_norm_kernel(NormRows rows) {
  device::launch_dependents();
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
    squares = add_squares(squares, values[slot]);
  });
  const float factor = norm_factor(rows, squares);
  const float inverse = __frcp_rn(scale);
  for_slots(
      [&](int slot, int at) { write(group.y + at, values[slot], weights[slot], factor, inverse); });
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
    squares = add_squares(squares, values);
  }
  const float factor = norm_factor(rows, squares);
  const float inverse = __frcp_rn(rows.output_scale != nullptr ? *rows.output_scale : 1.0f);
  for (int at = first; at < rows.width; at += step)
    write(group.y + at, device::load_vec<kWidth>(kAdd ? group.sum + at : group.x + at),
          device::load_vec<kWidth>(weight + at), factor, inverse);
}

// How many vectors a thread holds follows the width alone, as does the order of summation: four
// warps a row are enough work for a multiprocessor and few to wait for.
template <typename T, typename Out, int kWidth, bool kAdd>
void launch_norm(const NormRows& rows, const Launch& where) {
  const int64_t vectors = blocks_for(rows.width, kWidth);
  int held = 1;
  while (held < kMaxHeld && vectors > int64_t{128} * held) held *= 2;
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows), static_cast<unsigned>(rows.groups));
  grid.threads = static_cast<int>(
      std::min<int64_t>(kMaxThreads, blocks_for(blocks_for(vectors, held), 32) * 32));
  if (vectors > int64_t{kMaxThreads} * held)
    return launch(where, grid, rms_norm_long_kernel<T, Out, kWidth, kAdd>, rows);
  if (held == 1) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 1, kAdd>, rows);
  if (held == 2) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 2, kAdd>, rows);
  launch(where, grid, rms_norm_kernel<T, Out, kWidth, kMaxHeld, kAdd>, rows);
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

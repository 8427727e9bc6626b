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

// A thread keeps kHeld vectors of kWidth elements in registers; kHeld = 0 re-reads rows of any
// length (`sum` where there is a residual, so that what is normed is what was stored).
template <typename T, typename Out, int kWidth, int kHeld, bool kAdd>
__global__ void __launch_bounds__(kMaxThreads) rms_norm_kernel(NormRows rows) {
  __shared__ float scratch[32];
  device::launch_dependents();
  const int64_t column = static_cast<int64_t>(blockIdx.y) * rows.width;
  const T* x = static_cast<const T*>(rows.x) + blockIdx.x * rows.x_stride + column;
  const T* residual =
      static_cast<const T*>(rows.residual) + blockIdx.x * rows.residual_stride + column;
  T* sum = static_cast<T*>(rows.sum) + blockIdx.x * rows.sum_stride + column;
  const T* weight = static_cast<const T*>(rows.weight);
  Out* y = static_cast<Out*>(rows.y) + blockIdx.x * rows.y_stride + column;
  constexpr int kSlots = kHeld == 0 ? 1 : kHeld;
  float held[kSlots][kWidth];
  float scales[kSlots][kWidth];
  const int step = blockDim.x * kWidth;
  const int first = threadIdx.x * kWidth;
  if constexpr (kHeld > 0) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int at = first + slot * step;
      if (at < rows.width) device::load_floats<kWidth>(scales[slot], weight + at);
    }
  }
  device::wait_for_dependencies();
  const float output_scale = rows.output_scale != nullptr ? *rows.output_scale : 1.0f;

  // Reads one vector of the row, with the residual added and stored, rounded.
  const auto read = [&](float(&values)[kWidth], int at) {
    device::load_floats<kWidth>(values, x + at);
    if constexpr (kAdd) {
      float other[kWidth];
      device::load_floats<kWidth>(other, residual + at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) values[i] += other[i];
      const device::Vec<T, kWidth> rounded = device::round_all<T>(values);
      *reinterpret_cast<device::Vec<T, kWidth>*>(sum + at) = rounded;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) values[i] = device::to_float(rounded.values[i]);
    }
  };
  const auto write = [&](float(&values)[kWidth], const float(&scale)[kWidth], float factor,
                         float inverse, int at) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = values[i] * factor * scale[i];
    device::store_as<T, kWidth>(y + at, values, inverse);
  };

  float squares = 0.0f;
  if constexpr (kHeld > 0) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int at = first + slot * step;
      if (at >= rows.width) break;
      read(held[slot], at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) squares += held[slot][i] * held[slot][i];
    }
  } else {
    for (int at = first; at < rows.width; at += step) {
      read(held[0], at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) squares += held[0][i] * held[0][i];
    }
  }
  const float mean = device::block_sum(squares, scratch) * rows.inverse_width;
  const float factor = rsqrtf(mean + rows.epsilon);  // within 2 ulp
  const float inverse = __frcp_rn(output_scale);
  if constexpr (kHeld > 0) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int at = first + slot * step;
      if (at < rows.width) write(held[slot], scales[slot], factor, inverse, at);
    }
  } else {
    for (int at = first; at < rows.width; at += step) {
      device::load_floats<kWidth>(held[0], kAdd ? sum + at : x + at);
      device::load_floats<kWidth>(scales[0], weight + at);
      write(held[0], scales[0], factor, inverse, at);
    }
  }
}

template <typename T, typename Out, int kWidth, bool kAdd>
void launch_norm(const NormRows& rows, const Grid& grid, const Launch& where) {
  const int64_t held = blocks_for(rows.width, static_cast<int64_t>(kWidth) * grid.threads);
  if (held == 1) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 1, kAdd>, rows);
  if (held == 2) return launch(where, grid, rms_norm_kernel<T, Out, kWidth, 2, kAdd>, rows);
  launch(where, grid, rms_norm_kernel<T, Out, kWidth, 0, kAdd>, rows);
}

}  // namespace

void launch_rms_norm(const NormRows& rows, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows), static_cast<unsigned>(rows.groups));
  const int64_t warps = blocks_for(blocks_for(rows.width, rows.vector), 32);
  grid.threads = static_cast<int>(std::min<int64_t>(kMaxThreads, warps * 32));
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    dispatch_output<T>(rows.output, [&]<typename Out>(Out) {
      dispatch_width(rows.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        if (rows.residual != nullptr) return launch_norm<T, Out, kWidth, true>(rows, grid, where);
        launch_norm<T, Out, kWidth, false>(rows, grid, where);
      });
    });
  });
}

}  // namespace octavo::cuda

// Combine: float32 sums in the order of a token's experts, rounded once: the bytes of the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/moe/moe.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;  // at most

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) combine_kernel(CombinedRows combine) {
  device::launch_dependents();
  const int64_t token = blockIdx.x;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * kWidth;
  device::wait_for_dependencies();
  if (column >= combine.columns) return;
  const int32_t* rows = combine.rows + token * combine.rows_stride;
  const float* weights = combine.weights + token * combine.weights_stride;
  float sums[kWidth] = {};
  for (int i = 0; i < combine.top_k; ++i) {
    const int64_t row = rows[i];
    if (row < 0) continue;
    float values[kWidth];
    device::load_floats<kWidth>(values,
                                static_cast<const T*>(combine.x) + row * combine.x_stride + column);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sums[j] = __fadd_rn(sums[j], __fmul_rn(weights[i], values[j]));
  }
  device::store_floats<kWidth>(static_cast<T*>(combine.y) + token * combine.y_stride + column,
                               sums);
}

}  // namespace

void launch_combine(const CombinedRows& combine, const Launch& where) {
  const int64_t vectors = combine.columns / combine.vector;
  const int64_t pieces = blocks_for(vectors, kThreads);
  if (pieces == 0) return;
  Grid grid;
  grid.threads = static_cast<int>(blocks_for(blocks_for(vectors, pieces), 32) * 32);
  grid.blocks = dim3(static_cast<unsigned>(combine.tokens), static_cast<unsigned>(pieces));
  dispatch_activation(combine.activation, [&]<typename T>(T) {
    dispatch_width(combine.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(where, grid, combine_kernel<T, kWidth>, combine);
    });
  });
}

}  // namespace octavo::cuda

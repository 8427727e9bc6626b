// Linear of experts, the plain version: one warp an output, sums in double, any shape and scales.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/device/expert_rows.cuh"
#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/gemm/grouped_linear.h"
#include "backend/cuda/gemm/grouped_scale.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int64_t kMostBlocks = 1 << 20;

// The types differ by branches: this kernel is for being right.
__device__ __forceinline__ float element(const void* data, DType type, int64_t index) {
  switch (type) {
    case DType::kF32:
      return static_cast<const float*>(data)[index];
    case DType::kBF16:
      return device::to_float(static_cast<const __nv_bfloat16*>(data)[index]);
    case DType::kI8:
      return static_cast<const int8_t*>(data)[index];
    default:
      return device::to_float(static_cast<const device::e4m3_t*>(data)[index]);
  }
}

// A code of the weight; two rows of 4-bit codes share their bytes, the even row in the low halves.
__device__ __forceinline__ float weight_code(const GroupedGemm& gemm, int64_t row, int64_t k) {
  if (gemm.weight_type != DType::kI4x2)
    return element(gemm.weight, gemm.weight_type, row * gemm.k + k);
  const uint32_t pair = static_cast<const uint8_t*>(gemm.weight)[row / 2 * gemm.k + k];
  return static_cast<float>(static_cast<int32_t>(pair << (row % 2 == 0 ? 28 : 24)) >> 28);
}

__device__ double dot(const GroupedGemm& gemm, int expert, int64_t row, int column) {
  const int64_t weight_row = static_cast<int64_t>(expert) * gemm.n + column;
  double total = 0.0;
  for (int part = 0; part < gemm.parts; ++part) {
    const int begin = part * gemm.block_columns;
    const int end = min(begin + gemm.block_columns, gemm.k);
    double sum = 0.0;
    for (int k = begin + static_cast<int>(threadIdx.x) % 32; k < end; k += 32)
      sum += static_cast<double>(element(gemm.x, gemm.x_type, row * gemm.x_stride + k)) *
             weight_code(gemm, weight_row, k);
    total += device::warp_sum(sum) * grouped_scale(gemm, expert, row, column, part);
  }
  return total;
}

template <typename Y>
__global__ void __launch_bounds__(kWarps * 32) grouped_reference_kernel(GroupedGemm gemm) {
  device::launch_dependents();
  device::wait_for_dependencies();
  for (int64_t output = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
       output < gemm.rows * gemm.n; output += static_cast<int64_t>(gridDim.x) * kWarps) {
    const int64_t row = output / gemm.n;
    const int column = static_cast<int>(output % gemm.n);
    const int expert = device::expert_of_row(gemm.offsets, gemm.experts, row);
    const double sum = expert < 0 ? 0.0 : dot(gemm, expert, row, column);
    if (threadIdx.x % 32 == 0)
      static_cast<Y*>(gemm.y)[row * gemm.y_stride + column] =
          device::round_to<Y>(static_cast<float>(sum));
  }
}

}  // namespace

void launch_grouped_reference(const GroupedGemm& gemm, const Launch& where) {
  Grid grid;
  grid.threads = kWarps * 32;
  grid.blocks =
      dim3(static_cast<unsigned>(std::min(blocks_for(gemm.rows * gemm.n, kWarps), kMostBlocks)));
  dispatch_activation(
      gemm.y_type, [&]<typename Y>(Y) { launch(where, grid, grouped_reference_kernel<Y>, gemm); });
}

}  // namespace octavo::cuda

// Linear, the plain version: one warp an output, sums in double, any shape and type.
// SPDX-License-Identifier: Apache-2.0
#include <type_traits>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/gemm/reference.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8;

__device__ float scale_of(const ReferenceGemm& gemm, int64_t token, int64_t row, int64_t part) {
  const ScaleStrides& strides = gemm.strides;
  float scale = 1.0f;
  if (gemm.input_scale != nullptr)
    scale = gemm.input_scale[token * strides.input_row + part * strides.input_part];
  if (gemm.weight_scale == nullptr) return scale;
  if (strides.block_rows > 0)
    return scale * gemm.weight_scale[row / strides.block_rows * strides.weight_row + part];
  int segment = 0;
  while (row >= gemm.segment_end[segment]) ++segment;
  return scale * gemm.weight_scale[segment];
}

struct Int8 {};    // a weight of 8-bit codes
struct Int4x2 {};  // of 4-bit codes: rows 2i (low half) and 2i + 1 in one byte

template <typename W>
__device__ float weight_at(const ReferenceGemm& gemm, int64_t row, int64_t k) {
  if constexpr (std::is_same_v<W, Int8>) {
    return static_cast<const int8_t*>(gemm.weight)[row * gemm.weight_stride + k];
  } else if constexpr (std::is_same_v<W, Int4x2>) {
    const int pair = static_cast<const uint8_t*>(gemm.weight)[row / 2 * gemm.weight_stride + k];
    const int code = row % 2 == 0 ? pair & 15 : pair >> 4;
    return static_cast<float>(code < 8 ? code : code - 16);
  } else {
    return device::to_float(static_cast<const W*>(gemm.weight)[row * gemm.weight_stride + k]);
  }
}

template <typename X, typename W, typename Y>
__global__ void __launch_bounds__(kWarps * 32) reference_gemm_kernel(ReferenceGemm gemm) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t output = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int64_t token = output / gemm.n;
  const int64_t row = output % gemm.n;
  if (token >= gemm.m) return;
  const X* x = static_cast<const X*>(gemm.x) + token * gemm.x_stride;
  const int64_t part = gemm.strides.part == 0 ? gemm.k : gemm.strides.part;
  double sum = 0.0;
  for (int64_t first = 0; first < gemm.k; first += part) {
    double of_part = 0.0;
    for (int64_t k = first + threadIdx.x % 32; k < min(gemm.k, first + part); k += 32)
      of_part += static_cast<double>(device::to_float(x[k])) * weight_at<W>(gemm, row, k);
    sum += of_part * scale_of(gemm, token, row, first / part);
  }
  sum = device::warp_sum(sum);
  if (threadIdx.x % 32 != 0) return;
  if (gemm.bias != nullptr) sum += device::to_float(static_cast<const Y*>(gemm.bias)[row]);
  static_cast<Y*>(gemm.y)[token * gemm.y_stride + row] =
      device::round_to<Y>(static_cast<float>(sum));
}

// Calls function(Element{}) for E4M3, bfloat16 or float.
template <typename Function>
void dispatch_operand(DType dtype, Function&& function) {
  if (dtype == DType::kE4M3) return function(device::e4m3_t{});
  dispatch_activation(dtype, function);
}

template <typename Function>
void dispatch_weight(DType dtype, Function&& function) {
  if (dtype == DType::kI8) return function(Int8{});
  if (dtype == DType::kI4x2) return function(Int4x2{});
  dispatch_operand(dtype, function);
}

}  // namespace

void launch_reference_gemm(const ReferenceGemm& gemm, const Launch& where) {
  Grid grid;
  grid.threads = kWarps * 32;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(gemm.m * gemm.n, kWarps)));
  dispatch_operand(gemm.x_type, [&]<typename X>(X) {
    dispatch_weight(gemm.weight_type, [&]<typename W>(W) {
      dispatch_activation(gemm.y_type, [&]<typename Y>(Y) {
        launch(where, grid, reference_gemm_kernel<X, W, Y>, gemm);
      });
    });
  });
}

}  // namespace octavo::cuda

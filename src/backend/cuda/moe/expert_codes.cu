// Quantize, and SwiGLU that is quantized, with the scale of each row's expert.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/expert_rows.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/moe/moe.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;  // at most

template <int kWidth>
__device__ __forceinline__ void store_zeros(device::e4m3_t* to) {
  *reinterpret_cast<device::Vec<device::e4m3_t, kWidth>*>(to) = {};
}

// A row is `pieces` blocks. The values are those of pointwise.cu.
template <bool kSwiglu, typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    expert_codes_kernel(ExpertCodes codes, unsigned pieces) {
  device::launch_dependents();
  const int64_t row = blockIdx.x / pieces;
  const int64_t column =
      (static_cast<int64_t>(blockIdx.x % pieces) * blockDim.x + threadIdx.x) * kWidth;
  device::wait_for_dependencies();
  if (column >= codes.columns) return;
  auto* y = static_cast<device::e4m3_t*>(codes.y) + row * codes.y_stride + column;
  const int expert = device::expert_of_row(codes.offsets, codes.num_experts, row);
  if (expert < 0) return store_zeros<kWidth>(y);
  float values[kWidth];
  device::load_floats<kWidth>(values,
                              static_cast<const T*>(codes.a) + row * codes.a_stride + column);
  if constexpr (kSwiglu) {
    float ups[kWidth];
    device::load_floats<kWidth>(ups,
                                static_cast<const T*>(codes.b) + row * codes.b_stride + column);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = device::swiglu(values[i], ups[i]);
  }
  // What is only quantized needs no rounding to its own type, which would lose a NaN's sign.
  using Rounded = std::conditional_t<kSwiglu, T, float>;
  device::store_codes<Rounded, kWidth>(y, values, device::inverse_scale(codes.scales + expert));
}

template <bool kSwiglu>
void launch_codes(const ExpertCodes& codes, const Launch& where) {
  const int64_t vectors = codes.columns / codes.vector;
  const int64_t pieces = blocks_for(vectors, kThreads);
  if (pieces == 0) return;
  Grid grid;
  grid.threads = static_cast<int>(blocks_for(blocks_for(vectors, pieces), 32) * 32);
  grid.blocks = dim3(static_cast<unsigned>(codes.rows * pieces));
  dispatch_activation(codes.activation, [&]<typename T>(T) {
    dispatch_width(codes.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(where, grid, expert_codes_kernel<kSwiglu, T, kWidth>, codes,
             static_cast<unsigned>(pieces));
    });
  });
}

}  // namespace

void launch_expert_codes(const ExpertCodes& codes, const Launch& where) {
  if (codes.b == nullptr) return launch_codes<false>(codes, where);
  launch_codes<true>(codes, where);
}

}  // namespace octavo::cuda

// FP8 linear for few tokens with SwiGLU and quantize behind it: gate and up meet in a tile's sums.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>

#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/gemm/sm90_fp8_low_latency.cuh"
#include "backend/cuda/gemm/sm90_fp8_low_latency_normed.cuh"

namespace octavo::cuda {
namespace {

using low_latency::Cut;
using low_latency::Rest;
using low_latency::Row;

__device__ __forceinline__ float rounded(float value) {
  return device::to_float(__float2bfloat16_rn(value));
}

// The first half of a tile's rows is gate, the second the same rows of up. Each is rounded as the
// linear rounds it, and their product as the op swiglu does: the bytes are those of the two
// kernels.
struct Swiglu {
  static constexpr bool kHalves = true;
  static constexpr bool kStaticScales = true;
  template <int kEights, int kTiles>
  using Parts = low_latency::PlainParts<kEights, kTiles>;
  static constexpr int kInverse = kLowLatencyMaxSegments - 1;  // the scale that no segment has

  template <typename AnyRest>
  static __device__ __forceinline__ void prepare(const LowLatencyGemm& gemm, AnyRest& rest) {
    if (threadIdx.x == kInverse) rest.scales[kInverse] = device::inverse_scale(gemm.output_scale);
  }

  template <int kEights, int kTiles>
  static __device__ __forceinline__ void store_tile(const LowLatencyGemm& gemm, const Cut& cut,
                                                    const Rest<kEights, kTiles>& rest, int tile) {
    const int split = cut.config.split;
    const int rank = split == 1 ? 0 : static_cast<int>(device::cluster_rank());
    const int half = cut.config.rows / 2;
    const int columns = gemm.n / 2;
    const LowLatencyShare share(kTiles * kLowLatencyTileRows / 2, threadIdx.x, rank, split);
    const int column = tile * half + share.slot;
    if (share.slot >= half || column >= columns) return;
    const __nv_bfloat16* const type = nullptr;  // of the bias
    const Row gate = Row::of(gemm, rest, column, type);
    const Row up = Row::of(gemm, rest, columns + column, type);
    const float inverse = rest.scales[kInverse];
    auto* y = static_cast<uint8_t*>(gemm.y) + column;
#pragma unroll 4
    for (int token = share.first_token; token < gemm.m; token += share.token_step) {
      const float* sums = &rest.sums[token][share.slot];
      const float value =
          device::swiglu(rounded(gate.finish(sums, split)), rounded(up.finish(sums + half, split)));
      y[token * gemm.y_stride] =
          static_cast<uint8_t>(device::encode_e4m3x2(rounded(value) * inverse, 0.0f));
    }
  }
};

}  // namespace

void launch_low_latency_swiglu(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where) {
  low_latency::launch_with<Swiglu>(gemm, config, where);
}

void launch_normed_low_latency_swiglu(const NormedLowLatencyGemm& gemm,
                                      const LowLatencyConfig& config, const Launch& where) {
  low_latency::launch_tiles<Swiglu, 1, low_latency::NormedX>(gemm, config, where);
}

}  // namespace octavo::cuda

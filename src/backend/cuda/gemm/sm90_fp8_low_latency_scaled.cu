// FP8 linear for few tokens whose scales are vectors or differ by parts of K.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>

#include "backend/cuda/gemm/sm90_fp8_low_latency.cuh"

namespace octavo::cuda {
namespace {

using low_latency::Cut;
using low_latency::Rest;

// Where the first of a weight row's scales stands. 32 bits: registers are short.
__device__ __forceinline__ int row_scales(const LowLatencyGemm& gemm, int row) {
  const ScaleStrides& strides = gemm.strides;
  if (strides.block_rows > 0)
    return row / strides.block_rows * static_cast<int>(strides.weight_row);
  int segment = 0;
  while (segment + 1 < gemm.segments && row >= gemm.segment_end[segment]) ++segment;
  return segment;
}

// Scales of a part of K: of the rows whose sums the thread has, and of as many tokens as there are
// lanes, a lane one or two: it takes those of its sums from the others. Rows and tokens past the
// end and steps past the end of K are zeros or come to nothing; they read the last scales.
template <int kEights, int kTiles>
class BlockParts {
 public:
  using Sums = float[kTiles][kEights][4];

  struct Scales {
    static constexpr int kHeld = (kEights + 3) / 4;
    float input[kHeld], weight[kTiles][2];

    __device__ __forceinline__ void add(Sums& sum, const Sums& part) const {
#pragma unroll
      for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
        for (int odd = 0; odd < 2; ++odd) {
          const int lane = eight % 4 * 8 + threadIdx.x % 4 * 2 + odd;
          const float of_token = __shfl_sync(0xFFFFFFFFu, input[eight / 4], lane);
#pragma unroll
          for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              float& to = sum[tile][eight][2 * half + odd];
              to = __fmaf_rn(part[tile][eight][2 * half + odd], of_token * weight[tile][half], to);
            }
          }
        }
      }
    }
  };

  __device__ __forceinline__ BlockParts(const LowLatencyGemm& gemm, int first_row) : gemm_(gemm) {
    const int lane = threadIdx.x % 32;
    const int row = first_row + threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        weight_[tile][half] =
            row_scales(gemm, min(row + tile * kLowLatencyTileRows + half * 8, gemm.n - 1));
    }
#pragma unroll
    for (int i = 0; i < Scales::kHeld; ++i)
      input_[i] = min(lane + 32 * i, gemm.m - 1) * static_cast<int>(gemm.strides.input_row);
  }

  __device__ __forceinline__ Scales at(int step) const {
    const int part = min(step, (gemm_.k - 1) / kLowLatencyStep);
    Scales scales;
#pragma unroll
    for (int i = 0; i < Scales::kHeld; ++i)
      scales.input[i] = gemm_.input_scale[input_[i] + part * gemm_.strides.input_part];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        scales.weight[tile][half] = gemm_.weight_scale[weight_[tile][half] + part];
    }
    return scales;
  }

 private:
  const LowLatencyGemm& gemm_;
  int weight_[kTiles][2], input_[Scales::kHeld];  // where their scales stand
};

// y in its own type. kScaledSums: what was summed is scaled already.
template <bool kScaledSums>
struct Scaled : low_latency::InTypeOfY<Scaled<kScaledSums>> {
  static constexpr bool kStaticScales = false;
  template <int kEights, int kTiles>
  using Parts = std::conditional_t<kScaledSums, BlockParts<kEights, kTiles>,
                                   low_latency::PlainParts<kEights, kTiles>>;

  // Writes the outputs of a tile, or this CTA's share of them where a cluster has summed it.
  template <typename T, int kEights, int kTiles>
  static __device__ __forceinline__ void store_as(const LowLatencyGemm& gemm, const Cut& cut,
                                                  const Rest<kEights, kTiles>& rest,
                                                  int first_row) {
    const int split = cut.config.split;
    const int rank = split == 1 ? 0 : static_cast<int>(device::cluster_rank());
    const LowLatencyShare share(kTiles * kLowLatencyTileRows, threadIdx.x, rank, split);
    const int own = share.slot;
    const int row = first_row + own;
    if (own >= cut.config.rows || row >= gemm.n) return;
    const float weight_scale = kScaledSums ? 1.0f : gemm.weight_scale[row_scales(gemm, row)];
    const float bias =
        gemm.bias == nullptr ? 0.0f : static_cast<float>(static_cast<const T*>(gemm.bias)[row]);
    T* y = static_cast<T*>(gemm.y) + row;
#pragma unroll 4
    for (int token = share.first_token; token < gemm.m; token += share.token_step) {
      const float* sum = &rest.sums[token][own];
      float value = split == 1 ? *sum : low_latency::sum_of_peers(sum, split);
      if constexpr (!kScaledSums)
        value *= gemm.input_scale[token * gemm.strides.input_row] * weight_scale;
      low_latency::store(y + token * gemm.y_stride, value + bias);
    }
  }
};

}  // namespace

void launch_low_latency_vectors(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                                const Launch& where) {
  low_latency::launch_with<Scaled<false>>(gemm, config, where);
}

void launch_low_latency_blocks(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where) {
  low_latency::launch_with<Scaled<true>>(gemm, config, where);
}

}  // namespace octavo::cuda

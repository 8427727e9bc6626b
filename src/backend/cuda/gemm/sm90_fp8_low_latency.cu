// FP8 linear for few tokens: what becomes of a tile's sums.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>

#include "backend/cuda/gemm/sm90_fp8_low_latency.cuh"
#include "backend/cuda/gemm/sm90_fp8_low_latency_normed.cuh"

namespace octavo::cuda {
namespace {

using low_latency::Cut;
using low_latency::Rest;
using low_latency::Row;

// y in its own type.
struct Plain : low_latency::InTypeOfY<Plain> {
  static constexpr bool kStaticScales = true;
  template <int kEights, int kTiles>
  using Parts = low_latency::PlainParts<kEights, kTiles>;

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
    const Row scaled = Row::of(gemm, rest, row, static_cast<const T*>(nullptr));
    T* y = static_cast<T*>(gemm.y) + row;
#pragma unroll 4
    for (int token = share.first_token; token < gemm.m; token += share.token_step)
      low_latency::store(y + token * gemm.y_stride, scaled.finish(&rest.sums[token][own], split));
  }
};

}  // namespace

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where) {
  low_latency::launch_with<Plain>(gemm, config, where);
}

void launch_normed_low_latency(const NormedLowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where) {
  low_latency::launch_tiles<Plain, 1, low_latency::NormedX>(gemm, config, where);
}

}  // namespace octavo::cuda

// The FP8 linear of experts for many rows, alone and with SwiGLU behind it: tiles by offsets that
// are read on the device.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/gemm/sm90_fp8_gemm_kernel.cuh"
#include "backend/cuda/gemm/sm90_grouped_gemm.h"

namespace octavo::cuda {
namespace {

template <int kColumns, bool kSwiglu = false>
using ExpertCut = large::Cut<kColumns, kSwiglu, large::Scaling::kSegments, /*kOfExperts=*/true>;

// Each expert can leave one tile that is not full.
int64_t most_units(const ExpertGemm& experts, const large::ExpertTiles& tiles) {
  const int64_t token_tiles =
      std::min<int64_t>(experts.gemm.m, experts.gemm.m / large::kTokens + experts.experts);
  return token_tiles * tiles.narrow;
}

template <typename Cut>
void launch_experts(const ExpertGemm& experts, const Launch& where) {
  const LargeGemm& gemm = experts.gemm;
  const auto kernel = large::large_gemm_kernel<Cut>;
  int device = 0;
  int multiprocessors = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  auto tiles = large::ExpertTiles::of(Cut::kSwiglu ? gemm.n / 2 : gemm.n, Cut::kOutputs);
  tiles.offsets = experts.offsets;
  tiles.experts = experts.experts;
  tiles.stages = static_cast<int>(blocks_for(gemm.k, large::kStep));
  const int64_t clusters =
      std::min<int64_t>(most_units(experts, tiles), multiprocessors / large::kCluster);
  Grid grid;
  grid.threads = large::kThreads;
  grid.cluster = large::kCluster;
  grid.blocks = dim3(static_cast<unsigned>(clusters * large::kCluster));
  grid.shared_bytes = static_cast<int>(sizeof(large::Shared<Cut>));
  static_assert(sizeof(large::Shared<Cut>) <= large::kSharedBytes);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, gemm, tiles,
         large::codes_map(gemm.x, gemm.m, gemm.k, gemm.x_stride, large::kTokens / large::kCluster),
         large::codes_map(gemm.weight, experts.experts * gemm.n, gemm.k, gemm.weight_stride,
                          Cut::kHalf));
}

}  // namespace

int expert_gemm_columns(int rows, int experts, int n, int multiprocessors) {
  constexpr int kStageCycles[] = {640, 1024};  // of a stage of 128 and of 256 columns
  int best = 256;
  int64_t least = INT64_MAX;
  for (const int columns : {256, 128}) {
    const auto tiles = large::ExpertTiles::of(n, columns);
    const auto each = static_cast<int>(blocks_for(rows, std::min(rows, experts)));
    const int64_t units = std::min(rows, experts) * int64_t{tiles.units(each)};
    const int64_t cycles =
        blocks_for(units, multiprocessors / large::kCluster) * kStageCycles[columns / 256];
    if (cycles >= least) continue;
    best = columns;
    least = cycles;
  }
  return best;
}

void launch_expert_gemm(const ExpertGemm& experts, int columns, const Launch& where) {
  if (columns == 128) return launch_experts<ExpertCut<128>>(experts, where);
  launch_experts<ExpertCut<256>>(experts, where);
}

void launch_expert_gemm_swiglu(const ExpertGemm& experts, const Launch& where) {
  launch_experts<ExpertCut<256, true>>(experts, where);
}

}  // namespace octavo::cuda

// The FP8 linear for many tokens with one scale a segment, alone and with SwiGLU behind it.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>

#include "backend/cuda/gemm/sm90_fp8_gemm_kernel.cuh"

namespace octavo::cuda {
namespace {

// Cycles of a stage: the tensor cores take 4 a weight row, and shared memory moves 128 bytes a
// cycle: 128 of each operand in, then x once and the weights twice to the tensor cores.
int stage_cycles(int columns) {
  const int bytes =
      (large::kTokens + columns) * large::kStep + (large::kTokens + 2 * columns) * large::kStep;
  return std::max(4 * columns, bytes / 128);
}

LargeGemmConfig best_config(int m, int n, int multiprocessors, std::span<const int> widths,
                            int halves) {
  LargeGemmConfig best;
  int64_t least = INT64_MAX;
  for (const bool share_x : {false, true}) {
    for (const int columns : widths) {
      const int64_t units =
          blocks_for(m, share_x ? large::kTokens : large::kTokens * large::kCluster) *
          blocks_for(n / halves, columns / halves * (share_x ? large::kCluster : 1));
      const int64_t cycles =
          blocks_for(units, multiprocessors / large::kCluster) * stage_cycles(columns);
      if (cycles >= least) continue;
      best = {columns, share_x};
      least = cycles;
    }
  }
  return best;
}

}  // namespace

LargeGemmConfig large_gemm_config(int m, int n, int multiprocessors) {
  constexpr int kWidths[] = {256, 192, 160, 128};
  return best_config(m, n, multiprocessors, kWidths, 1);
}

LargeGemmConfig large_gemm_swiglu_config(int m, int n, int multiprocessors) {
  constexpr int kWidths[] = {256};
  return best_config(m, n, multiprocessors, kWidths, 2);
}

LargeGemmConfig large_gemm_blocks_config(int m, int n, int multiprocessors) {
  constexpr int kWidths[] = {kLargeGemmBlockRows};
  return best_config(m, n, multiprocessors, kWidths, 1);
}

void launch_large_gemm(const LargeGemm& gemm, const LargeGemmConfig& config, const Launch& where) {
  switch (config.columns) {
    case 128:
      return large::launch_cut<large::Cut<128, false>>(gemm, config.share_x, where);
    case 160:
      return large::launch_cut<large::Cut<160, false>>(gemm, config.share_x, where);
    case 192:
      return large::launch_cut<large::Cut<192, false>>(gemm, config.share_x, where);
    default:
      large::launch_cut<large::Cut<256, false>>(gemm, config.share_x, where);
  }
}

void launch_large_gemm_swiglu(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where) {
  large::launch_cut<large::Cut<256, true>>(gemm, config.share_x, where);
}

}  // namespace octavo::cuda

// FP8 linear of experts for many rows on Hopper: the kernel of sm90_fp8_gemm.h over experts' tiles.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/gemm/sm90_fp8_gemm.h"

namespace octavo::cuda {

inline constexpr int kMostExpertGemmScales = 512;

struct ExpertGemm {
  LargeGemm gemm;  // m: rows of x in all; n: weight rows of an expert; input_scale: [experts];
                   // weight_scale: [experts, segments]; output_scale, of SwiGLU: [experts]; at most
                   // kMostExpertGemmScales of the last two; no bias
  const int32_t* offsets;  // [experts + 1]
  int experts;
};

// Columns of a tile, 128 or 256, with the shorter time if rows fall to experts evenly.
int expert_gemm_columns(int rows, int experts, int n, int multiprocessors);

// y = x · weight[e]ᵀ × the scales of e, bfloat16, where e is the expert of x's row; rows of no
// expert become zero. Rows of x and of the weight are aligned to 16 bytes, and so are y's; n and
// the segments' ends are multiples of 8.
void launch_expert_gemm(const ExpertGemm& experts, int columns, const Launch& where);

// The first half of an expert's weight is the gate, the second is up: y = codes of silu(gate) × up
// / output_scale[e], each rounded to bfloat16 before. n is a multiple of 32.
void launch_expert_gemm_swiglu(const ExpertGemm& experts, const Launch& where);

}  // namespace octavo::cuda

// FP8 linear for many tokens on Hopper, and the same with SwiGLU and quantize behind it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"

namespace octavo::cuda {

inline constexpr int kLargeGemmMaxSegments = 8;

struct LargeGemm {
  const uint8_t* x;           // [m, k] E4M3
  const uint8_t* weight;      // [n, k] E4M3
  const float* input_scale;   // [1]
  const float* weight_scale;  // [segments]
  const void* bias;           // [n] bfloat16; null: none
  void* y;                    // [m, n] bfloat16; of SwiGLU [m, n / 2] E4M3
  const float* output_scale;  // [1], of SwiGLU
  int64_t x_stride, weight_stride, y_stride;
  int m, n, k;
  int segments;
  int segment_end[kLargeGemmMaxSegments];  // one past the last row of each segment
};

// How the work is cut: clusters of two CTAs make tiles of 128 tokens × `columns` weight rows each.
// Their tiles are neighbours along the tokens and share the weights, or, with share_x, neighbours
// along the weight rows that share x. Results do not depend on it.
struct LargeGemmConfig {
  int columns = 256;  // 128, 160, 192 or 256
  bool share_x = false;
};

// The cut with the shortest time on that many multiprocessors, by the model in docs/performance.md.
LargeGemmConfig large_gemm_config(int m, int n, int multiprocessors);
LargeGemmConfig large_gemm_swiglu_config(int m, int n, int multiprocessors);

// y = x · weightᵀ × scales + bias. Segments end on multiples of 8 rows. Rows of x and weight are
// aligned to 16 bytes, and so are y's.
void launch_large_gemm(const LargeGemm& gemm, const LargeGemmConfig& config, const Launch& where);

// The first half of the weight's rows is the gate, the second is up:
// y = codes of silu(gate) × up / output_scale, each rounded to bfloat16 before.
void launch_large_gemm_swiglu(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where);

}  // namespace octavo::cuda

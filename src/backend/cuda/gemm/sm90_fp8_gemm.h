// FP8 linear for many tokens on Hopper, and the same with SwiGLU and quantize behind it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/gemm/scale_strides.h"
#include "backend/cuda/launch.h"

namespace octavo::cuda {

inline constexpr int kLargeGemmMaxSegments = 8;

struct LargeGemm {
  const uint8_t* x;           // [m, k] E4M3
  const uint8_t* weight;      // [n, k] E4M3
  const float* input_scale;   // [1], or as `strides` say
  const float* weight_scale;  // [segments], or as `strides` say
  const void* bias;           // [n] bfloat16; null: none
  void* y;                    // [m, n] bfloat16; of SwiGLU [m, n / 2] E4M3
  const float* output_scale;  // [1], of SwiGLU
  int64_t x_stride, weight_stride, y_stride;
  int m, n, k;
  int segments;
  int segment_end[kLargeGemmMaxSegments];  // one past the last row of each segment
  ScaleStrides strides = {};               // of launch_large_gemm_vectors and _blocks
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

// The same with a scale a token and a scale a weight row, or either as above.
void launch_large_gemm_vectors(const LargeGemm& gemm, const LargeGemmConfig& config,
                               const Launch& where);

// The same with scales that also differ by parts of K, of kLargeGemmPart columns each; those of the
// weight by a multiple of kLargeGemmBlockRows rows. Every part is summed by itself, from zero, and
// added to the others in float32. `config` has kLargeGemmBlockRows columns.
inline constexpr int kLargeGemmPart = 128;
inline constexpr int kLargeGemmBlockRows = 128;
LargeGemmConfig large_gemm_blocks_config(int m, int n, int multiprocessors);
void launch_large_gemm_blocks(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where);

// The first half of the weight's rows is the gate, the second is up:
// y = codes of silu(gate) × up / output_scale, each rounded to bfloat16 before.
void launch_large_gemm_swiglu(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where);

}  // namespace octavo::cuda

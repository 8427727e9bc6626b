// Linear of experts: the plain version, and the one that streams weights past few rows, which also
// has SwiGLU behind it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

inline constexpr int kGroupedMaxSegments = 8;
inline constexpr int kGroupedFewRows = 32;  // past which tiles of many rows are faster

// Rows of x and y are sorted by expert; rows of no expert, the last ones, become zero.
struct GroupedGemm {
  const void* x;              // [rows, k]
  const void* weight;         // [experts, n, k]
  const float* input_scale;   // [experts], or [rows, input_parts]; null: x is not E4M3
  const float* weight_scale;  // [experts, segments], or [experts, blocks of rows, parts of K]
  const int32_t* offsets;     // [experts + 1]
  const float* output_scale;  // [experts], of SwiGLU
  void* y;                    // [rows, n]; of SwiGLU [rows, n / 2] E4M3
  int64_t x_stride, y_stride;
  int64_t rows;
  int n, k;
  int experts;
  int segments;
  int segment_end[kGroupedMaxSegments];  // one past the last row of each segment of an expert
  // Weight scales by block instead: rows and columns that share one, and how many blocks there are.
  int block_rows;  // 0: by segment
  int block_columns, row_blocks, parts;
  int64_t input_stride;  // of input_scale by row; 0: by expert
  int input_parts;       // 1, or as many as `parts`
  DType x_type, weight_type, y_type;
};

// A warp an output, sums in double: any shape, type and scales.
void launch_grouped_reference(const GroupedGemm& gemm, const Launch& where);

// Weights of E4M3 or bfloat16 go from memory straight to the tensor cores' registers, 16 rows a
// block, past up to `tokens` rows of an expert at a time: 8 or 16, which does not change results.
// Experts without rows cost nothing. No scales by parts of K. Rows of x and of the weight start on
// multiples of 16 bytes and are a multiple of them.
inline constexpr int kStreamRows = 16;
inline constexpr int kStreamBlocks = 2;  // on a multiprocessor
void launch_grouped_stream(const GroupedGemm& gemm, int tokens, int multiprocessors,
                           const Launch& where);

// The first half of an expert's weight is the gate, the second is up: y = codes of silu(gate) × up
// / output_scale[e], each rounded to bfloat16 before. E4M3 only.
void launch_grouped_stream_swiglu(const GroupedGemm& gemm, int tokens, int multiprocessors,
                                  const Launch& where);

// 8 or 16 of the launches above. No expert has more rows than all; those of few seldom have half.
constexpr int grouped_stream_tokens(int64_t rows) { return rows <= 16 ? 8 : 16; }

}  // namespace octavo::cuda

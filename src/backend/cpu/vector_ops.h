// The inner loops of the CPU kernels: compiled for every instruction set, chosen at run time.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: every variant gives the same bits: sums run over sixteen lanes whatever the register width,
// and multiply-adds are fused everywhere. Rules and bounds in docs/numerics.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {

// Keys of one attention step; blocks are aligned to absolute positions.
inline constexpr int64_t kAttentionBlock = 32;

// One block of keys against rows of queries. All matrices are float32; a row is `stride` elements
// long, a multiple of 16 and zero beyond the head dimension. Row r sees the keys [first[r],
// last[r]) of the block; nothing where they are equal.
struct AttentionStep {
  const float* queries;  // [rows, stride]
  const float* keys;     // [kAttentionBlock, stride]
  const float* values;   // [kAttentionBlock, stride]
  int64_t rows;
  int64_t stride;
  const int32_t* first;  // [rows]
  const int32_t* last;   // [rows]
  float score_scale;
  float* scores;       // [rows, kAttentionBlock]: scratch
  float* maximum;      // [rows]: running maximum, starts at -infinity
  float* denominator;  // [rows]: running sum of exponentials, starts at 0
  float* output;       // [rows, stride]: running weighted sum, starts at 0
};

struct VectorOps {
  std::string_view name;
  void (*from_bf16)(const bf16* x, float* y, int64_t count);
  void (*to_bf16)(const float* x, bf16* y, int64_t count);
  void (*round_bf16)(float* values, int64_t count);
  void (*from_e4m3)(const e4m3* x, float* y, int64_t count);
  // Where `round_first`, values are rounded to BF16 before they are scaled.
  void (*quantize)(const float* x, bool round_first, float inverse_scale, e4m3* y, int64_t count);
  float (*sum_of_squares)(const float* x, int64_t count);
  // The outputs of these may be their inputs.
  void (*add)(const float* a, const float* b, float* y, int64_t count);
  // y = x × factor, rounded to BF16 where `round_first`, × weight
  void (*normalize)(const float* x, float factor, bool round_first, const float* weight, float* y,
                    int64_t count);
  // One head of 2 × half elements.
  void (*rotate)(const float* x, const float* cosines, const float* sines, float* y, int64_t half);
  // y = gate / (1 + exp(-gate)) × up
  void (*silu_multiply)(const float* gate, const float* up, float* y, int64_t count);
  void (*attention_step)(const AttentionStep& step);
};

// The variant for cpu_level().
const VectorOps& vector_ops();

// Every variant that this machine can run, the portable one first.
std::span<const VectorOps* const> runnable_vector_ops();

// Defined in vector_ops_<instruction set>.cc.
extern const VectorOps kVectorOpsPortable;
extern const VectorOps kVectorOpsAvx2;
extern const VectorOps kVectorOpsAvx512;

}  // namespace octavo

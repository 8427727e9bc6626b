// Linear on integer codes for few tokens: weights streamed once at the speed of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/cuda/gemm/integer_gemm.h"

namespace octavo::cuda {

inline constexpr int kIntegerTokens = 64;      // of a CTA
inline constexpr int kIntegerMaxTokens = 256;  // in all: above 64 they read the weights again
inline constexpr int kIntegerMaxRows = 256;    // of a tile
inline constexpr int kIntegerMaxStored = 128;  // stored rows of a tile
inline constexpr int kIntegerMaxSplit = 4;
inline constexpr int kIntegerMaxDepth = 32;
inline constexpr int kIntegerStepGroup = 8;  // steps of K: a CTA's share is a multiple of them
inline constexpr int kIntegerStep = 128;     // codes of K of one step
inline constexpr int kIntegerSharedBytes = 227 * 1024;

// Tokens that the tensor cores are given for m of them.
constexpr int integer_tokens(int m) { return m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64; }

// Blocks of 64 rows that the accumulators of a CTA have room for.
constexpr int integer_row_blocks(int rows) { return rows <= 128 ? 2 : 4; }

// Rows of a tile that stored rows and, for many tokens, accumulators allow.
constexpr int integer_most_rows(const IntegerShape& shape) {
  const int accumulated = integer_tokens(shape.m) > 16 ? 128 : kIntegerMaxRows;
  const int stored = kIntegerMaxStored * rows_of_stored(shape);
  return accumulated < stored ? accumulated : stored;
}

// Bytes of shared memory behind the ring: sums of `tokens` and blocks of rows, and barriers.
constexpr int integer_rest_bytes(int tokens, int row_blocks) {
  return 4 * tokens * (64 * row_blocks + 4) + 16 * kIntegerMaxDepth;
}

// How the work is cut, as in low_latency.h: a CTA takes tiles of `rows` weight rows one after the
// other; the `split` CTAs of a cluster share the K of one tile. The result depends on `split`
// alone.
struct IntegerConfig {
  int rows = 64;   // of a tile: a multiple of 16
  int steps = 2;   // of 128 codes of K in a stage; divides kIntegerStepGroup
  int depth = 3;   // stages of the ring
  int split = 1;   // a power of two; above 1 a cluster has one tile
  int passes = 1;  // tiles of a CTA, at most
};

std::string to_string(const IntegerConfig& config);

// Bytes of dynamic shared memory of one CTA.
int integer_shared_bytes(const IntegerShape& shape, const IntegerConfig& config);

// What a builder may measure, the default first.
std::vector<IntegerConfig> integer_candidates(const IntegerShape& shape, int multiprocessors);

// Its split does not depend on m: a token's result is the same whatever tokens are beside it.
IntegerConfig integer_config(const IntegerShape& shape, int multiprocessors);

void launch_integer_low_latency(const IntegerGemm& gemm, const IntegerConfig& config,
                                const Launch& where);

}  // namespace octavo::cuda

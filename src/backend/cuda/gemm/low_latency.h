// FP8 linear for few tokens: weights streamed once at the speed of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/cuda/launch.h"

namespace octavo::cuda {

inline constexpr int kLowLatencyMaxTokens = 64;
inline constexpr int kLowLatencyMaxSegments = 8;
inline constexpr int kLowLatencySharedBytes = 227 * 1024;  // that one CTA can have
inline constexpr int kLowLatencyMaxRows = 128;             // weight rows of a tile
inline constexpr int kLowLatencyMaxSplit = 8;
inline constexpr int kLowLatencyMaxDepth = 32;
inline constexpr int kLowLatencyMaxSteps = 8;
inline constexpr int kLowLatencyStep = 128;  // codes of K of one step

constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }

// Tokens that the tensor cores are given for m of them.
constexpr int low_latency_tokens(int m) { return m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64; }

// Bytes of shared memory beside the ring: sums of `tiles` × 64 rows, scales, barriers.
constexpr int low_latency_rest_bytes(int tokens, int tiles) {
  return 4 * tokens * (64 * tiles + 4) + 4 * kLowLatencyMaxSegments + 16 * kLowLatencyMaxDepth;
}

struct LowLatencyGemm {
  const uint8_t* x;           // [m, k] E4M3
  const uint8_t* weight;      // [n, k] E4M3
  const float* input_scale;   // [1]
  const float* weight_scale;  // [segments]
  const void* bias;           // [n] of y's type; null: none
  void* y;                    // [m, n] bfloat16, or float32 with y_is_float
  int64_t x_stride, weight_stride, y_stride;
  int m, n, k;
  int segments;
  int segment_end[kLowLatencyMaxSegments];  // one past the last row of each segment
  bool y_is_float;
};

// How the work is cut. A CTA takes tiles of `rows` weight rows, one after the other, while its
// loads run ahead by a ring of stages; the `split` CTAs of a cluster share the K of one tile. The
// result depends on `split` alone.
struct LowLatencyConfig {
  int rows = 64;   // of a tile: a multiple of 8
  int steps = 4;   // of 128 codes of K in a stage: even
  int depth = 3;   // stages of the ring
  int split = 1;   // a power of two; above 1 a cluster has one tile
  int passes = 1;  // tiles of a CTA, at most
};

std::string to_string(const LowLatencyConfig& config);

// Bytes of dynamic shared memory of one CTA.
int low_latency_shared_bytes(int m, const LowLatencyConfig& config);

// A problem cut for `ctas` CTAs, `split` of them to a tile, with a ring that makes the most of
// `shared_bytes`.
LowLatencyConfig cut_low_latency(int m, int n, int k, int ctas, int split, int shared_bytes);

// What a builder may measure, the default first.
std::vector<LowLatencyConfig> low_latency_candidates(int m, int n, int k, int multiprocessors);

// The configuration for a problem, from what was measured (docs/performance.md). Its split does not
// depend on m: a token's result is the same whatever tokens are beside it.
LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors);

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where);

}  // namespace octavo::cuda

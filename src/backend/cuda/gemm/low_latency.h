// FP8 linear for few tokens: weights streamed once at the speed of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"

namespace octavo::cuda {

inline constexpr int kLowLatencyMaxTokens = 32;
inline constexpr int kLowLatencyMaxSegments = 8;
inline constexpr int kLowLatencySharedBytes = 227 * 1024;  // that one CTA can have

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

// How the work is cut. The warpgroups of a CTA share the K range of a tile of 64 weight rows, step
// by step in turns; `split` CTAs of a cluster share it further. A CTA walks over tiles while its
// loads run ahead.
struct LowLatencyConfig {
  int warpgroups = 2;   // of a CTA
  int depth = 6;        // steps of 128 codes of K that a warpgroup has in flight: 8 KiB each
  int split = 1;        // CTAs that share K: 1, 2, 4 or 8
  int ctas_per_sm = 2;  // the grid is no larger than this many on every multiprocessor
};

// The configurations that are compiled in, `split` and `ctas_per_sm` aside.
inline constexpr LowLatencyConfig kLowLatencyShapes[] = {
    {.warpgroups = 1, .depth = 6}, {.warpgroups = 2, .depth = 4}, {.warpgroups = 2, .depth = 6},
    {.warpgroups = 4, .depth = 3}, {.warpgroups = 4, .depth = 5},
};

// Bytes of dynamic shared memory of one CTA.
int low_latency_shared_bytes(const LowLatencyGemm& gemm, const LowLatencyConfig& config);

// Whether x of m rows and k columns fits in shared memory in some configuration.
bool low_latency_fits(int m, int k);

// The configuration for a problem that fits, from what was measured (docs/performance.md).
LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors);

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where);

}  // namespace octavo::cuda

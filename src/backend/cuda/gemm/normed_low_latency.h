// Residual add, RMS norm and the FP8 linear behind them in one kernel, for the fewest tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {

inline constexpr int kNormedMaxTokens = 8;
// A row is normed by threads of the norm's own layout, of which there are as many as multiply.
inline constexpr int kNormedMaxColumns = kLowLatencyConsumers * kMaxNormHeld * 8;

// A linear whose x is what the norm would write: `x` and `x_stride` are not read. Every CTA norms
// all rows, so that norm.sum must not lie in what they are read from; norm.y is not written.
struct NormedLowLatencyGemm : LowLatencyGemm {
  NormRows norm;     // of bfloat16, with an output_scale, in vectors of 8
  int norm_threads;  // of a row: norm_layout's
};

// The bytes of launch_rms_norm and launch_low_latency, or of launch_low_latency_swiglu.
void launch_normed_low_latency(const NormedLowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where);
void launch_normed_low_latency_swiglu(const NormedLowLatencyGemm& gemm,
                                      const LowLatencyConfig& config, const Launch& where);

}  // namespace octavo::cuda

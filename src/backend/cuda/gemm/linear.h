// What the linear kernels ask of a Problem alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/gemm/scale_strides.h"
#include "backend/cuda/gemm/sm90_fp8_gemm.h"
#include "ops/linear_swiglu.h"

namespace octavo::cuda {

// One past the last row of each segment; a single segment where none are named.
std::vector<int64_t> segment_ends(const LinearParams& params, int64_t rows);

// The scales are one of the input and one of each segment: vectors made at run time and blocks of
// the weight are read as scalars by nothing.
Verdict check_scalar_scales(const Problem& problem);

// x and weight are E4M3, y has an activation type, and so has the bias.
Verdict check_fp8_types(const Problem& problem);

// The same, with scalar scales.
Verdict check_fp8_linear(const Problem& problem);

// How the scales lie; all zero for scalar ones.
ScaleStrides scale_strides(const LinearArgs& args);

// What the kernels of sm90_fp8_gemm.h ask of x, the weight and its segments, and their arguments.
Verdict check_large_gemm(const Problem& problem);
LargeGemm large_gemm(const LinearArgs& args);

// The same for those of low_latency.h, with at most so many segments.
Verdict check_low_latency(const Problem& problem, int max_segments);
LowLatencyGemm low_latency_gemm(const LinearArgs& args);

// With SwiGLU behind it; throws Error(kUnsupported) where rows are not aligned.
LowLatencyGemm low_latency_swiglu_gemm(const LinearSwigluArgs& args);

int multiprocessor_count();  // of the current device

// cuda_linear_reference, which other kernels take for operands that are not aligned.
void run_reference_linear(const Operands& operands, const LaunchContext& context);

}  // namespace octavo::cuda

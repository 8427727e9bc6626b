// What the kernels of experts' linears ask of a Problem alike, and their arguments.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/gemm/grouped_linear.h"
#include "backend/cuda/gemm/sm90_grouped_gemm.h"
#include "ops/grouped_linear.h"

namespace octavo::cuda {

// All but what belongs to y: n and k are those of an expert's weight.
GroupedGemm grouped_gemm(const GroupedLinearArgs& args);
ExpertGemm expert_gemm(const GroupedLinearArgs& args);

Verdict check_grouped_sizes(const Problem& problem);

// What launch_grouped_stream asks, and at most the rows that it is the fastest for.
Verdict check_grouped_stream(const Problem& problem);
Verdict check_few_rows(const Problem& problem);

// What launch_expert_gemm asks, which holds so many scales of each expert besides the segments'.
Verdict check_expert_gemm(const Problem& problem, int64_t more_scales);

// Whether rows of x and of the weight start where the latter two ask them to.
bool experts_aligned(const GroupedLinearArgs& args);

std::string types_of(const Problem& problem);  // of x and the weight, for messages

}  // namespace octavo::cuda

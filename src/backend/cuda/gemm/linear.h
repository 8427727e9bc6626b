// What the linear kernels ask of a Problem alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ops/linear.h"

namespace octavo::cuda {

// One past the last row of each segment; a single segment where none are named.
std::vector<int64_t> segment_ends(const LinearParams& params, int64_t rows);

// x and weight are E4M3 with their scales, y has an activation type, and so has the bias.
Verdict check_fp8_linear(const Problem& problem);

}  // namespace octavo::cuda

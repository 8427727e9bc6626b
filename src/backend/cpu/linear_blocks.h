// Linears whose weight has a scale for every part of K, or codes that the products do not read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/gemm.h"
#include "ops/linear.h"

namespace octavo {

// Whether a linear on this weight needs cpu_linear_blocks.
bool needs_blocks(const GemmCore& core, DType weight, const LinearParams& params);

// A part of K at a time: its sums, scaled, are added up in fp32 in the order of K. Integer codes
// are decoded to bfloat16, which holds them exactly. `pool` may be null.
void cpu_linear_blocks(const GemmCore& core, const LinearArgs& args, ThreadPool* pool);

}  // namespace octavo

// Linears by `gemm`: what the kernels of linear and of grouped_linear share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend/cpu/gemm.h"
#include "ops/linear.h"

namespace octavo {

// Of a problem whose first operands are x and weight and whose result is y.
Verdict supports_linear(const GemmCore& core, const Problem& problem);
Verdict supports_linear_scalar(const Problem& problem);
int64_t linear_workspace(const GemmCore& core, const Problem& problem);

// `workspace` holds linear_workspace bytes of a problem with at least as many rows. `pool` may be
// null.
void cpu_linear(const GemmCore& core, const LinearArgs& args, std::span<std::byte> workspace,
                ThreadPool* pool);

}  // namespace octavo

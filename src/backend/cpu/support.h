// Predicates that the kernels' `supports` are made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

// Whether CPU kernels compute on the type: float32 or bfloat16.
bool is_activation(DType dtype);

// Yes where every present operand of a float type is float32 or bfloat16, except that outputs may
// also be E4M3.
Verdict supports_activations(const Problem& problem);

// The same of an op that also writes int32 indices, which its shape rule has checked.
Verdict supports_moe(const Problem& problem);

// What a kernel that runs other kernels asks them.
Problem problem_of(Op op, const Operands& operands);

}  // namespace octavo

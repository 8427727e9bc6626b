// Shape rules of the ops that a mixture of experts is made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op.h"

namespace octavo {

inline constexpr int64_t kMaxExperts = 1024;

// The rows of these ops in the table of all.
std::vector<OpInfo> moe_ops();

using OperandSpecs = std::span<const OperandSpec>;

std::vector<SymbolicShape> infer_route(OperandSpecs in, const OpParams& params);
std::vector<SymbolicShape> infer_permute(OperandSpecs in, const OpParams& params);
std::vector<SymbolicShape> infer_grouped_linear(OperandSpecs in, const OpParams& params);
std::vector<SymbolicShape> infer_grouped_quantize(OperandSpecs in, const OpParams& params);
std::vector<SymbolicShape> infer_grouped_swiglu(OperandSpecs in, const OpParams& params);
std::vector<SymbolicShape> infer_combine(OperandSpecs in, const OpParams& params);

}  // namespace octavo

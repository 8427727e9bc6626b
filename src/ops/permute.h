// Permute: a copy of every token's row for each of its experts, ordered by expert.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct PermuteArgs {
  TensorView x;        // [tokens, hidden]
  TensorView experts;  // [tokens, top_k] int32, -1: none
  TensorView rows;     // [tokens, top_k] int32: the row of y that is this token's copy; -1: none
  TensorView offsets;  // [experts + 1] int32: expert e has the rows [offsets[e], offsets[e + 1])
  TensorView y;        // [tokens × top_k, hidden]; rows of no expert, the last ones, are zero
  const PermuteParams* params = nullptr;

  static PermuteArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .experts = operands.inputs[1],
            .rows = operands.outputs[0],
            .offsets = operands.outputs[1],
            .y = operands.outputs[2],
            .params = &std::get<PermuteParams>(*operands.params)};
  }
};

}  // namespace octavo

// Combine: a token's output is the weighted sum of what its experts made of it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct CombineArgs {
  TensorView x;        // [tokens × top_k, hidden]
  TensorView rows;     // [tokens, top_k] int32: rows of x; -1: none
  TensorView weights;  // [tokens, top_k] float32
  TensorView y;        // [tokens, hidden]; zero for a token without experts

  static CombineArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .rows = operands.inputs[1],
            .weights = operands.inputs[2],
            .y = operands.outputs[0]};
  }
};

}  // namespace octavo

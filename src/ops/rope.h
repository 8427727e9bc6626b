// RoPE: rotates the pairs (i, i + head_dim / 2) of every head by position × inverse_frequency[i].
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct RopeArgs {
  TensorView x;                  // [tokens, heads × head_dim]
  TensorView positions;          // [tokens] int32
  TensorView inverse_frequency;  // [head_dim / 2] float32
  TensorView y;                  // [tokens, heads × head_dim]; may be x
  const RopeParams* params = nullptr;

  static RopeArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .positions = operands.inputs[1],
            .inverse_frequency = operands.inputs[2],
            .y = operands.outputs[0],
            .params = &std::get<RopeParams>(*operands.params)};
  }
};

}  // namespace octavo

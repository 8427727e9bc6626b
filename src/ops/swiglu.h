// SwiGLU: y = silu(gate) × up.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct SwigluArgs {
  TensorView gate;          // [tokens, intermediate]
  TensorView up;            // [tokens, intermediate]
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView y;  // [tokens, intermediate]; E4M3 codes of y / output_scale where that is present

  static SwigluArgs bind(const Operands& operands) {
    return {.gate = operands.inputs[0],
            .up = operands.inputs[1],
            .output_scale = operands.inputs[2],
            .y = operands.outputs[0]};
  }
};

}  // namespace octavo

// Grouped SwiGLU: swiglu whose result is quantized with the scale of each row's expert.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct GroupedSwigluArgs {
  TensorView gate;          // [rows, intermediate]
  TensorView up;            // [rows, intermediate]
  TensorView output_scale;  // [experts] float32
  TensorView offsets;       // [experts + 1] int32: expert e has the rows [offsets[e], …[e + 1])
  TensorView y;             // [rows, intermediate] E4M3; rows of no expert are zero

  static GroupedSwigluArgs bind(const Operands& operands) {
    return {.gate = operands.inputs[0],
            .up = operands.inputs[1],
            .output_scale = operands.inputs[2],
            .offsets = operands.inputs[3],
            .y = operands.outputs[0]};
  }
};

}  // namespace octavo

// Grouped linear, then SwiGLU of its two halves, quantized with the scale of each row's expert.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/grouped_linear.h"

namespace octavo {

struct GroupedLinearSwigluArgs {
  GroupedLinearArgs linear;  // an expert's weight holds the rows of gate, then as many of up; no y
  TensorView output_scale;   // [experts] float32
  TensorView y;              // [rows, out / 2] E4M3; rows of no expert are zero

  static GroupedLinearSwigluArgs bind(const Operands& operands) {
    GroupedLinearArgs linear = GroupedLinearArgs::bind(operands);
    linear.y = {};
    return {.linear = linear, .output_scale = operands.inputs[5], .y = operands.outputs[0]};
  }
};

}  // namespace octavo

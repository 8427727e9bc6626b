// Grouped quantize: E4M3 codes of x / scale[e], where e is the expert of x's row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct GroupedQuantizeArgs {
  TensorView x;        // [rows, columns]
  TensorView scale;    // [experts] float32
  TensorView offsets;  // [experts + 1] int32: expert e has the rows [offsets[e], offsets[e + 1])
  TensorView y;        // [rows, columns] E4M3; rows of no expert are zero

  static GroupedQuantizeArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .scale = operands.inputs[1],
            .offsets = operands.inputs[2],
            .y = operands.outputs[0]};
  }
};

}  // namespace octavo

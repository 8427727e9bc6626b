// Quantize: E4M3 codes of x / scale, one static scale.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct QuantizeArgs {
  TensorView x;      // [rows, columns]
  TensorView scale;  // [1] float32
  TensorView y;      // [rows, columns] E4M3

  static QuantizeArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0], .scale = operands.inputs[1], .y = operands.outputs[0]};
  }
};

}  // namespace octavo

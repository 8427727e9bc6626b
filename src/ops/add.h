// Add: y = a + b.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct AddArgs {
  TensorView a;  // [tokens, hidden]
  TensorView b;  // [tokens, hidden]
  TensorView y;  // [tokens, hidden]; may be a or b

  static AddArgs bind(const Operands& operands) {
    return {.a = operands.inputs[0], .b = operands.inputs[1], .y = operands.outputs[0]};
  }
};

}  // namespace octavo

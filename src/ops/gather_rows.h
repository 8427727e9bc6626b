// Gather rows: y[i] = x[rows[i]].
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct GatherRowsArgs {
  TensorView x;     // [tokens, hidden]
  TensorView rows;  // [logit_rows] int32
  TensorView y;     // [logit_rows, hidden]

  static GatherRowsArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0], .rows = operands.inputs[1], .y = operands.outputs[0]};
  }
};

}  // namespace octavo

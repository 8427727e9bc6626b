// Residual add and RMS norm in one: sum = x + residual, rounded to its type; y = rms_norm(sum).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct AddRmsNormArgs {
  TensorView x;             // [tokens, hidden]
  TensorView residual;      // [tokens, hidden]
  TensorView weight;        // [hidden]
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView sum;           // [tokens, hidden]; may be residual
  TensorView y;  // [tokens, hidden]; E4M3 codes of y / output_scale where that is present
  const RmsNormParams* params = nullptr;

  static AddRmsNormArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .residual = operands.inputs[1],
            .weight = operands.inputs[2],
            .output_scale = operands.inputs[3],
            .sum = operands.outputs[0],
            .y = operands.outputs[1],
            .params = &std::get<RmsNormParams>(*operands.params)};
  }
};

}  // namespace octavo

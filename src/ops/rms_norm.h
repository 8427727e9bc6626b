// RMS norm: y = x / sqrt(mean(x²) + epsilon) × weight, over groups of weight's length within a row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct RmsNormArgs {
  TensorView x;             // [tokens, groups × width]
  TensorView weight;        // [width]
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView y;             // shape of x; E4M3 codes of y / output_scale where that is present
  const RmsNormParams* params = nullptr;

  static RmsNormArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .weight = operands.inputs[1],
            .output_scale = operands.inputs[2],
            .y = operands.outputs[0],
            .params = &std::get<RmsNormParams>(*operands.params)};
  }
};

}  // namespace octavo

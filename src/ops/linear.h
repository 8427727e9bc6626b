// Linear: y = x · weightᵀ, times the scales, plus the bias.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct LinearArgs {
  TensorView x;             // [rows, in] float, or E4M3 with input_scale
  TensorView weight;        // [out, in] float, or E4M3 with weight_scale
  TensorView input_scale;   // float32: [1], or [rows, 1 or parts of K] made at run time
  TensorView weight_scale;  // float32: [segments], or [blocks of rows, parts of K]
  TensorView bias;          // [out]
  TensorView y;             // [rows, out] float
  const LinearParams* params = nullptr;

  static LinearArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .weight = operands.inputs[1],
            .input_scale = operands.inputs[2],
            .weight_scale = operands.inputs[3],
            .bias = operands.inputs[4],
            .y = operands.outputs[0],
            .params = &std::get<LinearParams>(*operands.params)};
  }
};

}  // namespace octavo

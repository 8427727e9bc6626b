// Linear, then SwiGLU of its two halves: y = silu(x · gateᵀ) × (x · upᵀ), as codes where asked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/linear.h"

namespace octavo {

struct LinearSwigluArgs {
  LinearArgs linear;        // its weight holds the rows of gate, then as many of up; no y
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView y;             // [rows, out / 2]; E4M3 codes of y / output_scale where that is present

  static LinearSwigluArgs bind(const Operands& operands) {
    LinearArgs linear = LinearArgs::bind(operands);
    linear.y = {};
    return {.linear = linear, .output_scale = operands.inputs[5], .y = operands.outputs[0]};
  }
};

// The type that gate and up are rounded to: that of y, and bfloat16 where y is codes.
constexpr DType rounded_halves(DType y) { return y == DType::kE4M3 ? DType::kBF16 : y; }

}  // namespace octavo

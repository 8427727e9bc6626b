// Route: the experts of every token, by its largest router logits, with the weights of their sum.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct RouteArgs {
  TensorView logits;   // [tokens, experts] float
  TensorView slots;    // [tokens] int64; a token of slot -1 is padding and gets no expert
  TensorView experts;  // [tokens, top_k] int32, distinct, the most likely first; -1: none
  TensorView weights;  // [tokens, top_k] float32
  const RouteParams* params = nullptr;

  static RouteArgs bind(const Operands& operands) {
    return {.logits = operands.inputs[0],
            .slots = operands.inputs[1],
            .experts = operands.outputs[0],
            .weights = operands.outputs[1],
            .params = &std::get<RouteParams>(*operands.params)};
  }
};

}  // namespace octavo

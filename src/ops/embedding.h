// Embedding: y[t] = table[ids[t]].
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct EmbeddingArgs {
  TensorView ids;    // [tokens] int32, each in [0, vocab)
  TensorView table;  // [vocab, hidden] 16-bit or float32
  TensorView y;      // [tokens, hidden]

  static EmbeddingArgs bind(const Operands& operands) {
    return {.ids = operands.inputs[0], .table = operands.inputs[1], .y = operands.outputs[0]};
  }
};

}  // namespace octavo

// Embedding: y[t] = table[ids[t]]; −0 where the row is in another rank's part of the table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct EmbeddingArgs {
  TensorView ids;                         // [tokens] int32, each in [0, vocab)
  TensorView table;                       // [vocab, hidden] 16-bit or float32, or some of its rows
  TensorView y;                           // [tokens, hidden]
  const EmbeddingParams* part = nullptr;  // null: the table is whole

  static EmbeddingArgs bind(const Operands& operands) {
    return {.ids = operands.inputs[0],
            .table = operands.inputs[1],
            .y = operands.outputs[0],
            .part = std::get_if<EmbeddingParams>(operands.params)};
  }
};

}  // namespace octavo

// Attention: causal softmax(q · kᵀ) · v over the paged cache, this step's tokens included.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct AttentionArgs {
  TensorView q;             // [tokens, heads × head_dim], rotated
  TensorView k_cache;       // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView v_cache;       // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView query_start;   // [sequences] int32: first row of a sequence in q
  TensorView query_length;  // [sequences] int32: its rows; 0: none
  TensorView kv_length;     // [sequences] int32: tokens in the cache, this step's included
  TensorView block_table;   // [sequences, table_width] int32
  TensorView k_scale;       // [1] float32, present where the cache is E4M3
  TensorView v_scale;       // [1] float32, present where the cache is E4M3
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView y;             // [tokens, heads × head_dim]; rows of no sequence are zero
  const AttentionParams* params = nullptr;

  static AttentionArgs bind(const Operands& operands) {
    return {.q = operands.inputs[0],
            .k_cache = operands.inputs[1],
            .v_cache = operands.inputs[2],
            .query_start = operands.inputs[3],
            .query_length = operands.inputs[4],
            .kv_length = operands.inputs[5],
            .block_table = operands.inputs[6],
            .k_scale = operands.inputs[7],
            .v_scale = operands.inputs[8],
            .output_scale = operands.inputs[9],
            .y = operands.outputs[0],
            .params = &std::get<AttentionParams>(*operands.params)};
  }
};

}  // namespace octavo

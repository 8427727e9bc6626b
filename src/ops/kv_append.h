// KV append: writes this step's keys and values into the paged cache.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct KvAppendArgs {
  TensorView k;        // [tokens, kv_heads × head_dim]
  TensorView v;        // [tokens, kv_heads × head_dim]
  TensorView slots;    // [tokens] int64: block × tokens_per_block + offset; negative: not written
  TensorView k_scale;  // [1] float32, present where the cache is E4M3
  TensorView v_scale;  // [1] float32, present where the cache is E4M3
  TensorView k_cache;  // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView v_cache;  // [blocks, kv_heads, tokens_per_block, head_dim]

  static KvAppendArgs bind(const Operands& operands) {
    return {.k = operands.inputs[0],
            .v = operands.inputs[1],
            .slots = operands.inputs[2],
            .k_scale = operands.inputs[3],
            .v_scale = operands.inputs[4],
            .k_cache = operands.outputs[0],
            .v_cache = operands.outputs[1]};
  }
};

}  // namespace octavo

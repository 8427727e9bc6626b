// RoPE of q and k and KV append in one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct RopeKvAppendArgs {
  TensorView q;                  // [tokens, heads × head_dim]
  TensorView k;                  // [tokens, kv_heads × head_dim]
  TensorView v;                  // [tokens, kv_heads × head_dim]
  TensorView positions;          // [tokens] int32
  TensorView inverse_frequency;  // [head_dim / 2] float32
  TensorView slots;              // [tokens] int64; negative: not written
  TensorView k_scale;            // [1] float32, present where the cache is E4M3
  TensorView v_scale;            // [1] float32, present where the cache is E4M3
  TensorView y;                  // [tokens, heads × head_dim]: q rotated; may be q
  TensorView k_cache;            // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView v_cache;            // [blocks, kv_heads, tokens_per_block, head_dim]
  const RopeParams* params = nullptr;

  static RopeKvAppendArgs bind(const Operands& operands) {
    return {.q = operands.inputs[0],
            .k = operands.inputs[1],
            .v = operands.inputs[2],
            .positions = operands.inputs[3],
            .inverse_frequency = operands.inputs[4],
            .slots = operands.inputs[5],
            .k_scale = operands.inputs[6],
            .v_scale = operands.inputs[7],
            .y = operands.outputs[0],
            .k_cache = operands.outputs[1],
            .v_cache = operands.outputs[2],
            .params = &std::get<RopeParams>(*operands.params)};
  }
};

}  // namespace octavo

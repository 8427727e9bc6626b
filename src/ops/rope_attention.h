// RoPE of q and k, KV append and attention in one, for steps of at most one new token a sequence.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "ops/kernel.h"

namespace octavo {

// The result is that of rope_kv_append and then attention, bit for bit. No sequence has more than
// one row. A slot that is not negative is the place of its sequence's last key by block_table, so
// that a kernel may take that key and value from where it made them. All inputs but q, k and v, and
// the keys before the last, are there before the step's first kernel: a kernel may read them ahead.
struct RopeAttentionArgs {
  TensorView q;                  // [tokens, heads × head_dim]
  TensorView k;                  // [tokens, kv_heads × head_dim]
  TensorView v;                  // [tokens, kv_heads × head_dim]
  TensorView positions;          // [tokens] int32
  TensorView inverse_frequency;  // [head_dim / 2] float32
  TensorView slots;              // [tokens] int64; negative: not written
  TensorView query_start;        // [sequences] int32: the row of a sequence
  TensorView query_length;       // [sequences] int32: 0 or 1
  TensorView kv_length;          // [sequences] int32: tokens in the cache, this step's included
  TensorView block_table;        // [sequences, table_width] int32
  TensorView k_scale;            // [1] float32, present where the cache is E4M3
  TensorView v_scale;            // [1] float32, present where the cache is E4M3
  TensorView output_scale;       // [1] float32, present where y is E4M3
  TensorView k_cache;            // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView v_cache;            // [blocks, kv_heads, tokens_per_block, head_dim]
  TensorView y;                  // [tokens, heads × head_dim]; rows of no sequence are zero
  const AttentionParams* params = nullptr;

  static RopeAttentionArgs bind(const Operands& operands) {
    const std::span<const TensorView> in = operands.inputs;
    return {.q = in[0],
            .k = in[1],
            .v = in[2],
            .positions = in[3],
            .inverse_frequency = in[4],
            .slots = in[5],
            .query_start = in[6],
            .query_length = in[7],
            .kv_length = in[8],
            .block_table = in[9],
            .k_scale = in[10],
            .v_scale = in[11],
            .output_scale = in[12],
            .k_cache = operands.outputs[0],
            .v_cache = operands.outputs[1],
            .y = operands.outputs[2],
            .params = &std::get<AttentionParams>(*operands.params)};
  }
};

// The two calls that one stands for; `between` holds q while it is rotated and not yet used.
class RopeThenAttention {
 public:
  RopeThenAttention(const Operands& whole, const TensorView& between);
  RopeThenAttention(const RopeThenAttention&) = delete;
  RopeThenAttention& operator=(const RopeThenAttention&) = delete;

  Operands rope() const;
  Operands attention() const;

 private:
  const Operands whole_;
  std::array<TensorView, 8> rope_inputs_;
  std::array<TensorView, 3> rope_outputs_;
  OpParams rope_params_;
  std::array<TensorView, 10> attention_inputs_;
};

// What kernels of the two are asked.
Problem rope_part(const Problem& whole);
Problem attention_part(const Problem& whole);

}  // namespace octavo

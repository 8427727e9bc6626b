// The two calls that a rope_attention stands for.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

namespace octavo {

RopeThenAttention::RopeThenAttention(const Operands& whole, const TensorView& between)
    : whole_(whole) {
  const auto args = RopeAttentionArgs::bind(whole);
  rope_inputs_ = {args.q,     args.k,       args.v,      args.positions, args.inverse_frequency,
                  args.slots, args.k_scale, args.v_scale};
  rope_outputs_ = {between, args.k_cache, args.v_cache};
  rope_params_ = RopeParams{args.params->head_dim};
  attention_inputs_ = {between,           args.k_cache,     args.v_cache,     args.query_start,
                       args.query_length, args.kv_length,   args.block_table, args.k_scale,
                       args.v_scale,      args.output_scale};
}

Operands RopeThenAttention::rope() const {
  return {.inputs = rope_inputs_, .outputs = rope_outputs_, .params = &rope_params_};
}

Operands RopeThenAttention::attention() const {
  return {.inputs = attention_inputs_, .outputs = whole_.outputs.last(1), .params = whole_.params};
}

Problem rope_part(const Problem& whole) {
  Problem rope{.op = Op::kRopeKvAppend};
  rope.params = RopeParams{std::get<AttentionParams>(whole.params).head_dim};
  rope.inputs.assign(whole.inputs.begin(), whole.inputs.begin() + 6);
  rope.inputs.insert(rope.inputs.end(), whole.inputs.begin() + 10, whole.inputs.begin() + 12);
  rope.outputs = {whole.inputs[0], whole.outputs[0], whole.outputs[1]};
  return rope;
}

Problem attention_part(const Problem& whole) {
  Problem attention{.op = Op::kAttention, .params = whole.params};
  attention.inputs = {whole.inputs[0], whole.outputs[0], whole.outputs[1]};
  attention.inputs.insert(attention.inputs.end(), whole.inputs.begin() + 6, whole.inputs.end());
  attention.outputs = {whole.outputs[2]};
  return attention;
}

}  // namespace octavo

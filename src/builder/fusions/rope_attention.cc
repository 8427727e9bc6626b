// rope_kv_append, attention → rope_attention: rotated queries are not written, one launch less.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// The rope before, whose queries, cache and scales are this attention's and whose queries nobody
// else reads.
bool fits(const Program& program, int attention_index) {
  if (attention_index == 0) return false;
  const Call& attention = program.calls[static_cast<size_t>(attention_index)];
  const Call& rope = program.calls[static_cast<size_t>(attention_index) - 1];
  return rope.op == Op::kRopeKvAppend && rope.outputs[0] == attention.inputs[0] &&
         consumers_of(program, rope.outputs[0]).size() == 1 &&
         rope.outputs[1] == attention.inputs[1] && rope.outputs[2] == attention.inputs[2] &&
         rope.inputs[6] == attention.inputs[7] && rope.inputs[7] == attention.inputs[8] &&
         std::get<RopeParams>(rope.params).head_dim ==
             std::get<AttentionParams>(attention.params).head_dim;
}

}  // namespace

void fuse_rope_attention(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call attention = program.calls[i];
    if (attention.op != Op::kAttention || !fits(program, static_cast<int>(i))) continue;
    const Call rope = program.calls[i - 1];
    Call fused = attention;
    fused.op = Op::kRopeAttention;
    fused.inputs.assign(rope.inputs.begin(), rope.inputs.begin() + 6);
    fused.inputs.insert(fused.inputs.end(), attention.inputs.begin() + 3, attention.inputs.end());
    fused.outputs = {rope.outputs[1], rope.outputs[2], attention.outputs[0]};
    program.calls[i] = std::move(fused);
    remove_calls(program, {static_cast<int>(i) - 1});
    --i;
  }
}

}  // namespace octavo

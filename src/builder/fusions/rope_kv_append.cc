// rope(q), rope(k), kv_append → rope_kv_append: q, k and v are read once.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// The rope call whose rotated output `id` is read once only, or -1.
int lone_rope(const Program& program, TensorId id) {
  const int index = producer_of(program, id);
  const bool fits = index >= 0 && program.calls[static_cast<size_t>(index)].op == Op::kRope &&
                    consumers_of(program, id).size() == 1;
  return fits ? index : -1;
}

// The rope call of the queries that read this layer's cache, or -1.
int query_rope(const Program& program, TensorId k_cache) {
  for (const Call& call : program.calls) {
    if (call.op == Op::kAttention && call.inputs[1] == k_cache)
      return lone_rope(program, call.inputs[0]);
  }
  return -1;
}

}  // namespace

void fuse_rope_kv_append(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call append = program.calls[i];
    if (append.op != Op::kKvAppend) continue;
    const int k_index = lone_rope(program, append.inputs[0]);
    const int q_index = query_rope(program, append.outputs[0]);
    if (k_index < 0 || q_index < 0 || q_index > static_cast<int>(i)) continue;
    const Call& q = program.calls[static_cast<size_t>(q_index)];
    const Call& k = program.calls[static_cast<size_t>(k_index)];
    if (q.inputs[1] != k.inputs[1] || q.inputs[2] != k.inputs[2]) continue;
    Call fused = append;
    fused.op = Op::kRopeKvAppend;
    fused.params = q.params;
    fused.inputs = {q.inputs[0], k.inputs[0],      append.inputs[1], q.inputs[1],
                    q.inputs[2], append.inputs[2], append.inputs[3], append.inputs[4]};
    fused.outputs = {q.outputs[0], append.outputs[0], append.outputs[1]};
    program.calls[i] = std::move(fused);
    remove_calls(program, {q_index, k_index});
    i -= 2;
  }
}

}  // namespace octavo

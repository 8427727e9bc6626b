// User buffers: what ranks sum is written by the call before straight to where the others read it.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/memory_plan.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// Whether every rank waits for the others between one step's last such call and the first write of
// the next step's first one: behind `last`, or before `write`.
bool meets_between(const Program& program, int last, int write) {
  for (int i = 0; i < static_cast<int>(program.calls.size()); ++i) {
    const Op op = program.calls[static_cast<size_t>(i)].op;
    const bool of_stage = is_communication(op) && op != Op::kSend && op != Op::kRecv;
    if (of_stage && (i < write || i > last)) return true;
  }
  return false;
}

}  // namespace

// Two places take turns, from the last call of a step to the first of the next one too: of an odd
// number with no other exchange in between, the last does without.
void fuse_user_buffers(Draft& draft) {
  Program& program = draft.program;
  const std::vector<Lifetime> lives = lifetimes(program);
  int previous = -1;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    Call& call = program.calls[i];
    if (call.op != Op::kAllReduceAddRmsNorm) continue;
    const Lifetime& life = lives[static_cast<size_t>(call.inputs[0])];
    if (program.tensor(call.inputs[0]).base != kNoTensor || life.first <= previous ||
        life.last != static_cast<int>(i))
      continue;
    std::get<ReduceNormParams>(call.params).user_buffer = true;
    previous = static_cast<int>(i);
  }
  const std::vector<int> calls = user_buffer_calls(program);
  if (calls.size() % kUserBuffers == 0) return;
  const TensorId first = program.calls[static_cast<size_t>(calls.front())].inputs[0];
  if (meets_between(program, calls.back(), lives[static_cast<size_t>(first)].first)) return;
  Call& last = program.calls[static_cast<size_t>(calls.back())];
  std::get<ReduceNormParams>(last.params).user_buffer = false;
}

}  // namespace octavo

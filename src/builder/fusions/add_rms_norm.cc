// add, rms_norm → add_rms_norm: the residual stream is read and written once.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {

void fuse_add_rms_norm(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call norm = program.calls[i];
    if (norm.op != Op::kRmsNorm) continue;
    const int add_index = producer_of(program, norm.inputs[0]);
    if (add_index < 0 || program.calls[static_cast<size_t>(add_index)].op != Op::kAdd) continue;
    const Call add = program.calls[static_cast<size_t>(add_index)];
    // The sum must not be read between the two.
    if (consumers_of(program, add.outputs[0]).front() != static_cast<int>(i)) continue;
    Call fused = norm;
    fused.op = Op::kAddRmsNorm;
    fused.layer = add.layer;
    fused.inputs = {add.inputs[1], add.inputs[0], norm.inputs[1], norm.inputs[2]};
    fused.outputs = {add.outputs[0], norm.outputs[0]};
    program.calls[i] = std::move(fused);
    remove_calls(program, {add_index});
    --i;
  }
}

}  // namespace octavo

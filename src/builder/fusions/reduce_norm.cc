// all_reduce, add_rms_norm → all_reduce_add_rms_norm: what ranks sum is not written in between.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {

void fuse_reduce_norm(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call norm = program.calls[i];
    if (norm.op != Op::kAddRmsNorm) continue;
    const int index = producer_of(program, norm.inputs[0]);
    if (index < 0 || consumers_of(program, norm.inputs[0]).size() != 1) continue;
    const Call reduce = program.calls[static_cast<size_t>(index)];
    const TensorId part = reduce.op == Op::kAllReduce ? reduce.inputs[0] : kNoTensor;
    // The part is used up: nobody else may read it.
    if (part == kNoTensor || consumers_of(program, part).size() != 1) continue;
    if (program.tensor(part).dtype != program.tensor(norm.inputs[0]).dtype) continue;
    Call fused = norm;
    fused.op = Op::kAllReduceAddRmsNorm;
    fused.params = ReduceNormParams{.ranks = std::get<GroupParams>(reduce.params).ranks,
                                    .epsilon = std::get<RmsNormParams>(norm.params).epsilon};
    fused.inputs[0] = part;
    program.calls[i] = std::move(fused);
    remove_calls(program, {index});
    --i;
  }
}

}  // namespace octavo

// all_reduce_add_rms_norm of whole rows → of each rank's rows: the residual stays with them, and
// ranks send each other what the next linear reads alone.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

bool is_base(const Program& program, TensorId id) {
  for (const ProgramTensor& tensor : program.tensors) {
    if (tensor.base == id) return true;
  }
  return false;
}

// Whether a call reads `sum` as the residual alone, of which it needs its rank's rows.
bool reads_own_rows(const Call& call, TensorId sum) {
  if (call.op != Op::kAllReduceAddRmsNorm) return false;
  return std::count(call.inputs.begin(), call.inputs.end(), sum) == 1 && call.inputs[1] == sum;
}

// Who needs all rows of the sum of call `index` reads them where they were gathered behind it.
// Returns whether there was anybody.
bool gather_for_others(Program& program, size_t index) {
  const Call reduce = program.calls[index];
  const TensorId sum = reduce.outputs[0];
  ProgramTensor whole = program.tensor(sum);
  whole.name += ".whole";
  TensorId gathered = kNoTensor;
  const auto read_gathered = [&](TensorId& id) {
    if (id != sum) return;
    if (gathered == kNoTensor) gathered = program.add(whole);
    id = gathered;
  };
  for (size_t i = index + 1; i < program.calls.size(); ++i) {
    if (reads_own_rows(program.calls[i], sum)) continue;
    for (TensorId& id : program.calls[i].inputs) read_gathered(id);
  }
  for (TensorId& id : program.outputs) read_gathered(id);
  if (gathered == kNoTensor) return false;
  const int64_t ranks = std::get<ReduceNormParams>(reduce.params).ranks;
  program.calls.insert(program.calls.begin() + static_cast<std::ptrdiff_t>(index) + 1,
                       Call{.op = Op::kAllGather,
                            .params = GroupParams{.ranks = ranks, .by_rows = true},
                            .inputs = {sum},
                            .outputs = {gathered},
                            .layer = reduce.layer,
                            .role = Role::kReduce,
                            .module = reduce.module});
  return true;
}

}  // namespace

void fuse_shard_residual(Draft& draft) {
  Program& program = draft.program;
  for (const Call& call : program.calls) {
    const bool fused = call.op == Op::kAllReduceAddRmsNorm;
    if (fused && is_base(program, call.outputs[0])) return;
  }
  for (size_t i = 0; i < program.calls.size(); ++i) {
    auto* params = std::get_if<ReduceNormParams>(&program.calls[i].params);
    if (params == nullptr || params->sharded) continue;
    params->sharded = true;
    const int64_t ranks = params->ranks;
    const TensorId sum = program.calls[i].outputs[0];
    if (gather_for_others(program, i)) ++i;
    program.tensor(sum).shape[0].divisor = ranks;
  }
}

}  // namespace octavo

// Weights are counted by tensor, so that a shared one counts once.
// SPDX-License-Identifier: Apache-2.0
#include "measure/step_bytes.h"

#include <map>
#include <set>

namespace octavo {

int64_t weight_bytes_per_step(const Program& program) {
  std::set<TensorId> read;
  std::map<TensorId, int64_t> experts;  // of a stack of weights: those that one token needs
  for (const Call& call : program.calls) {
    if (call.op == Op::kEmbedding) continue;
    for (const TensorId id : call.inputs) {
      if (id != kNoTensor && program.tensor(id).kind == TensorKind::kWeight) read.insert(id);
    }
    if (call.op == Op::kGroupedLinear)
      experts[call.inputs[1]] = program.tensor(call.inputs[0]).shape[0].value;
  }
  int64_t bytes = 0;
  for (const TensorId id : read) {
    const ProgramTensor& weight = program.tensor(id);
    Shape shape = evaluate(weight.shape, {});
    if (experts.contains(id)) shape[0] = experts[id];
    bytes += shape.elements() * size_of(weight.dtype);
  }
  return bytes;
}

}  // namespace octavo

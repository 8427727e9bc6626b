// Weights are counted by tensor, so that a shared one counts once.
// SPDX-License-Identifier: Apache-2.0
#include "measure/step_bytes.h"

#include <set>

namespace octavo {

int64_t weight_bytes_per_step(const Program& program) {
  std::set<TensorId> read;
  for (const Call& call : program.calls) {
    if (call.op == Op::kEmbedding) continue;
    for (const TensorId id : call.inputs) {
      if (id != kNoTensor && program.tensor(id).kind == TensorKind::kWeight) read.insert(id);
    }
  }
  int64_t bytes = 0;
  for (const TensorId id : read) {
    const ProgramTensor& weight = program.tensor(id);
    bytes += evaluate(weight.shape, {}).elements() * size_of(weight.dtype);
  }
  return bytes;
}

}  // namespace octavo

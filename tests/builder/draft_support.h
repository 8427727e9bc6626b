// Drafts of the tiny model, what is in them, and what they compute.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>

#include "builder/apply_quantization.h"
#include "builder/build.h"
#include "core/host_device.h"
#include "model/edited_weights.h"
#include "model/tiny_model.h"
#include "program/interpreter.h"
#include "program/rewrite.h"
#include "program/step_buffers.h"

namespace octavo {

inline Draft fp8_draft() { return draft_program(tiny_model(fp8_with_kv_cache()), {}); }
inline Draft plain_draft() { return draft_program(tiny_model(), {}); }

// The FP8 draft of a checkpoint with some of its tensors edited.
inline Draft draft_of(const EditedWeights& weights,
                      const CheckpointQuantization& quantization = fp8_with_kv_cache()) {
  Draft draft{.program = kLlama.emit(tiny_config(), {})};
  quantize_linears(draft, weights, quantization);
  return draft;
}

inline std::vector<const Call*> calls_of(const Program& program, Op op) {
  std::vector<const Call*> found;
  for (const Call& call : program.calls) {
    if (call.op == op) found.push_back(&call);
  }
  return found;
}

inline const Call* call_of(const Program& program, Role role, int layer) {
  for (const Call& call : program.calls) {
    if (call.role == role && call.layer == layer && call.op != Op::kQuantize &&
        call.op != Op::kQuantizeDynamic)
      return &call;
  }
  return nullptr;
}

inline Tensor weight_of(const Draft& draft, TensorId id, const WeightSource& source) {
  const ProgramTensor& tensor = draft.program.tensor(id);
  Tensor weight(tensor.dtype, evaluate(tensor.shape, {}));
  std::byte* at = weight.data();
  if (const auto literal = draft.program.literals.find(id);
      literal != draft.program.literals.end()) {
    std::memcpy(at, literal->second.data(), static_cast<size_t>(weight.bytes()));
    return weight;
  }
  for (const std::string& name : draft.parts_of(tensor.name)) {
    const Tensor part = read_tensor_as(source, name, tensor.dtype);
    at = std::copy_n(part.data(), part.bytes(), at);
  }
  return weight;
}

// Logits of positions of one sequence, every one by default: what a rewrite must not change.
inline std::vector<float> logits_of(const Draft& draft, const WeightSource& source,
                                    std::vector<int32_t> rows = {0, 1, 2, 3, 4, 5, 6}) {
  const Program& program = draft.program;
  Batch batch;
  batch.table_width = 1;
  batch.append({3, 5, 7, 11, 13, 60, 2}, 0, {0}, 32);
  batch.logit_rows = std::move(rows);
  const SymbolValues sizes = batch.sizes(1);
  ThreadPool pool(1);
  HostDevice device(pool);
  Interpreter interpreter(program, first_candidates(program, cpu_registry(), sizes), sizes, device);
  StepBuffers inputs(sizes, device);
  inputs.bind_to(interpreter);
  inputs.upload(batch);
  std::vector<Tensor> owned;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const auto id = static_cast<TensorId>(i);
    if (program.tensor(id).kind == TensorKind::kWeight) {
      owned.push_back(weight_of(draft, id, source));
    } else if (program.tensor(id).kind == TensorKind::kCache) {
      owned.emplace_back(program.tensor(id).dtype, evaluate(program.tensor(id).shape, sizes));
    } else {
      continue;
    }
    interpreter.bind(id, owned.back().view());
  }
  interpreter.run(sizes);
  const TensorView logits = interpreter.view(program.outputs[0], sizes);
  return {logits.as<float>(), logits.as<float>() + logits.elements()};
}

}  // namespace octavo

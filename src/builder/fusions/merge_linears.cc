// Linears that read one input become one: q, k, v and gate, up; each keeps its weight scale.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

constexpr size_t kX = 0, kWeight = 1, kInputScale = 2, kWeightScale = 3;
constexpr size_t kBias = 4, kOffsets = 4;  // of a linear; of a grouped linear

// Of a stack of weights: of each.
int64_t rows_of(const Program& program, TensorId weight) {
  const ProgramTensor& tensor = program.tensor(weight);
  return tensor.shape[tensor.shape.size() - 2].value * rows_in_row(tensor.dtype);
}

// Scales lie over the rows alike, and no block of rows reaches from one linear into the next.
bool scales_join(const Program& program, const Call& call, const Call& first) {
  const auto& params = std::get<LinearParams>(call.params);
  const auto& expected = std::get<LinearParams>(first.params);
  if (params.block_rows != expected.block_rows || params.block_columns != expected.block_columns)
    return false;
  return params.block_rows <= 1 || rows_of(program, call.inputs[kWeight]) % params.block_rows == 0;
}

// Same input, same input scale, same types, all with or all without scales and biases.
bool mergeable(const Program& program, const std::vector<const Call*>& calls) {
  const Call& first = *calls.front();
  return std::all_of(calls.begin(), calls.end(), [&](const Call* call) {
    return call->op == first.op && scales_join(program, *call, first) &&
           call->inputs[kX] == first.inputs[kX] &&
           call->inputs[kInputScale] == first.inputs[kInputScale] &&
           program.tensor(call->inputs[kWeight]).dtype ==
               program.tensor(first.inputs[kWeight]).dtype &&
           (call->inputs[kWeightScale] == kNoTensor) == (first.inputs[kWeightScale] == kNoTensor) &&
           (call->op == Op::kLinear
                ? (call->inputs[kBias] == kNoTensor) == (first.inputs[kBias] == kNoTensor)
                : call->inputs[kOffsets] == first.inputs[kOffsets]) &&
           program.tensor(call->outputs[0]).dtype == program.tensor(first.outputs[0]).dtype;
  });
}

int64_t stack_of(const Program& program, const Call& call) {
  return call.op == Op::kGroupedLinear ? program.tensor(call.inputs[kWeight]).shape[0].value : 1;
}

// For each weight of the stack what every call has of it.
std::vector<std::string> interleaved(const std::vector<std::vector<std::string>>& sources,
                                     int64_t stack) {
  std::vector<std::string> parts;
  for (int64_t i = 0; i < stack; ++i) {
    for (const std::vector<std::string>& of_call : sources) {
      const auto share = std::ssize(of_call) / stack;
      parts.insert(parts.end(), of_call.begin() + i * share, of_call.begin() + (i + 1) * share);
    }
  }
  return parts;
}

// One weight whose rows are those of the given operand of every call; of stacks of weights: a stack
// of such weights.
TensorId concatenate(Draft& draft, const std::vector<const Call*>& calls, size_t operand,
                     const std::string& name) {
  if (calls.front()->inputs[operand] == kNoTensor) return kNoTensor;
  ProgramTensor merged = draft.program.tensor(calls.front()->inputs[operand]);
  merged.name = name;
  const size_t axis = merged.shape.size() == 3 ? 1 : 0;
  merged.shape[axis].value = 0;
  std::vector<std::vector<std::string>> sources;
  for (const Call* call : calls) {
    const ProgramTensor& part = draft.program.tensor(call->inputs[operand]);
    merged.shape[axis].value += part.shape[axis].value;
    sources.push_back(draft.parts_of(part.name));
  }
  draft.parts[name] = interleaved(sources, stack_of(draft.program, *calls.front()));
  return draft.program.add(std::move(merged));
}

Call merged_call(Draft& draft, const std::vector<const Call*>& calls, Role role,
                 const std::string& module) {
  Call merged = *calls.front();
  merged.role = role;
  merged.module = module;
  merged.inputs[kWeight] = concatenate(draft, calls, kWeight, module + ".weight");
  merged.inputs[kWeightScale] = concatenate(draft, calls, kWeightScale, module + ".weight_scale");
  if (merged.op == Op::kLinear)
    merged.inputs[kBias] = concatenate(draft, calls, kBias, module + ".bias");
  LinearParams params = std::get<LinearParams>(calls.front()->params);
  for (const Call* call : calls)
    params.segment_rows.push_back(rows_of(draft.program, call->inputs[kWeight]));
  merged.params = params;
  ProgramTensor output = draft.program.tensor(calls.front()->outputs[0]);
  output.name = module;
  output.shape[1] = Dim::constant(rows_of(draft.program, merged.inputs[kWeight]));
  const TensorId base = draft.program.add(std::move(output));
  merged.outputs = {base};
  int64_t column = 0;
  for (const Call* call : calls) {
    ProgramTensor& view = draft.program.tensor(call->outputs[0]);
    view.base = base;
    view.column = column;
    column += view.shape[1].value;
  }
  return merged;
}

void merge(Draft& draft, std::span<const Role> roles, Role merged_role, std::string_view name) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    if (program.calls[i].role != roles.front()) continue;
    std::vector<const Call*> calls;
    std::vector<int> indices;
    for (const Role role : roles) {
      for (size_t j = i; j < program.calls.size(); ++j) {
        if (program.calls[j].role != role || program.calls[j].layer != program.calls[i].layer)
          continue;
        calls.push_back(&program.calls[j]);
        indices.push_back(static_cast<int>(j));
      }
    }
    if (calls.size() != roles.size() || !mergeable(program, calls)) continue;
    const std::string& module = calls.front()->module;
    Call merged = merged_call(draft, calls, merged_role,
                              module.substr(0, module.rfind('.') + 1) + std::string(name));
    program.calls[i] = std::move(merged);
    remove_calls(program, {indices.begin() + 1, indices.end()});
  }
}

}  // namespace

void fuse_qkv(Draft& draft) {
  constexpr Role kRoles[] = {Role::kQ, Role::kK, Role::kV};
  merge(draft, kRoles, Role::kQkv, "qkv_proj");
}

void fuse_gate_up(Draft& draft) {
  constexpr Role kRoles[] = {Role::kGate, Role::kUp};
  merge(draft, kRoles, Role::kGateUp, "gate_up_proj");
}

}  // namespace octavo

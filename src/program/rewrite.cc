// Rewriting helpers.
// SPDX-License-Identifier: Apache-2.0
#include "program/rewrite.h"

#include <algorithm>

namespace octavo {
namespace {

bool contains(const std::vector<TensorId>& ids, TensorId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::vector<bool> used_tensors(const Program& program) {
  std::vector<bool> used(program.tensors.size(), false);
  const auto mark = [&](TensorId id) {
    if (id == kNoTensor) return;
    used[static_cast<size_t>(id)] = true;
    if (program.tensor(id).base != kNoTensor)
      used[static_cast<size_t>(program.tensor(id).base)] = true;
  };
  for (const Call& call : program.calls) {
    for (const TensorId id : call.inputs) mark(id);
    for (const TensorId id : call.outputs) mark(id);
  }
  for (const TensorId id : program.outputs) mark(id);
  // Inputs are the interface to the runtime: they stay.
  for (size_t i = 0; i < used.size(); ++i) {
    if (program.tensors[i].kind == TensorKind::kInput) used[i] = true;
  }
  return used;
}

}  // namespace

int producer_of(const Program& program, TensorId id) {
  for (size_t i = 0; i < program.calls.size(); ++i) {
    if (contains(program.calls[i].outputs, id)) return static_cast<int>(i);
  }
  return -1;
}

std::vector<int> consumers_of(const Program& program, TensorId id) {
  std::vector<int> found;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    if (contains(program.calls[i].inputs, id)) found.push_back(static_cast<int>(i));
  }
  return found;
}

void remove_calls(Program& program, std::vector<int> indices) {
  std::sort(indices.begin(), indices.end(), std::greater<>());
  for (const int index : indices) program.calls.erase(program.calls.begin() + index);
}

void remove_dead_tensors(Program& program) {
  const std::vector<bool> used = used_tensors(program);
  std::vector<TensorId> renumbered(program.tensors.size(), kNoTensor);
  std::vector<ProgramTensor> kept;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    if (!used[i]) continue;
    renumbered[i] = static_cast<TensorId>(kept.size());
    kept.push_back(std::move(program.tensors[i]));
  }
  const auto renumber = [&](TensorId& id) {
    if (id != kNoTensor) id = renumbered[static_cast<size_t>(id)];
  };
  for (ProgramTensor& tensor : kept) renumber(tensor.base);
  for (Call& call : program.calls) {
    for (TensorId& id : call.inputs) renumber(id);
    for (TensorId& id : call.outputs) renumber(id);
  }
  for (TensorId& id : program.outputs) renumber(id);
  std::map<TensorId, std::vector<float>> literals;
  for (auto& [id, values] : program.literals) {
    if (used[static_cast<size_t>(id)])
      literals[renumbered[static_cast<size_t>(id)]] = std::move(values);
  }
  program.tensors = std::move(kept);
  program.literals = std::move(literals);
}

}  // namespace octavo

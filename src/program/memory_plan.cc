// First-fit placement of activations by lifetime.
// SPDX-License-Identifier: Apache-2.0
#include "program/memory_plan.h"

#include <algorithm>

#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kAlignment = 256;

struct Placed {
  int64_t begin;
  int64_t end;
  Lifetime life;
};

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The lowest offset where `bytes` fit beside everything alive at the same time.
int64_t first_fit(std::vector<Placed>& placed, int64_t bytes, const Lifetime& life) {
  std::vector<Placed> alive;
  for (const Placed& other : placed) {
    if (overlap(other.life, life)) alive.push_back(other);
  }
  std::sort(alive.begin(), alive.end(),
            [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  int64_t at = 0;
  for (const Placed& other : alive) {
    if (other.begin - at >= bytes) break;
    at = std::max(at, other.end);
  }
  placed.push_back({at, at + bytes, life});
  return at;
}

}  // namespace

std::vector<Lifetime> lifetimes(const Program& program) {
  std::vector<Lifetime> lives(program.tensors.size());
  const auto touch = [&](TensorId id, int call) {
    if (id == kNoTensor) return;
    const ProgramTensor& tensor = program.tensor(id);
    Lifetime& life = lives[static_cast<size_t>(tensor.base == kNoTensor ? id : tensor.base)];
    if (life.first < 0) life.first = call;
    life.last = call;
  };
  for (size_t i = 0; i < program.calls.size(); ++i) {
    for (const TensorId id : program.calls[i].inputs) touch(id, static_cast<int>(i));
    for (const TensorId id : program.calls[i].outputs) touch(id, static_cast<int>(i));
  }
  for (const TensorId id : program.outputs) touch(id, static_cast<int>(program.calls.size()));
  return lives;
}

MemoryPlan plan_memory(const Program& program, const SymbolValues& maxima) {
  const std::vector<Lifetime> lives = lifetimes(program);
  MemoryPlan plan;
  plan.offsets.assign(program.tensors.size(), -1);
  std::vector<Placed> placed;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const ProgramTensor& tensor = program.tensors[i];
    if (tensor.kind != TensorKind::kActivation || tensor.base != kNoTensor || lives[i].first < 0)
      continue;
    const int64_t bytes =
        round_up(evaluate(tensor.shape, maxima).elements() * size_of(tensor.dtype), kAlignment);
    plan.offsets[i] = first_fit(placed, std::max(bytes, kAlignment), lives[i]);
    plan.bytes = std::max(plan.bytes, placed.back().end);
  }
  return plan;
}

}  // namespace octavo

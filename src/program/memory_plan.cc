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

std::vector<int> user_buffer_calls(const Program& program) {
  std::vector<int> calls;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const auto* params = std::get_if<ReduceNormParams>(&program.calls[i].params);
    if (params != nullptr && params->user_buffer) calls.push_back(static_cast<int>(i));
  }
  return calls;
}

namespace {

// User buffers go in turns from call to call.
void place_user_buffers(const Program& program, const SymbolValues& maxima, MemoryPlan& plan) {
  plan.user_buffers.assign(program.tensors.size(), -1);
  int8_t next = 0;
  for (const int call : user_buffer_calls(program)) {
    const TensorId x = program.calls[static_cast<size_t>(call)].inputs[0];
    const ProgramTensor& tensor = program.tensor(x);
    const int64_t bytes = evaluate(tensor.shape, maxima).elements() * size_of(tensor.dtype);
    plan.user_buffers[static_cast<size_t>(x)] = next;
    plan.user_buffer_bytes = std::max(plan.user_buffer_bytes, round_up(bytes, kAlignment));
    next = static_cast<int8_t>((next + 1) % kUserBuffers);
  }
}

}  // namespace

MemoryPlan plan_memory(const Program& program, const SymbolValues& maxima) {
  const std::vector<Lifetime> lives = lifetimes(program);
  MemoryPlan plan;
  plan.offsets.assign(program.tensors.size(), -1);
  place_user_buffers(program, maxima, plan);
  std::vector<Placed> placed;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const ProgramTensor& tensor = program.tensors[i];
    if (tensor.kind != TensorKind::kActivation || tensor.base != kNoTensor || lives[i].first < 0)
      continue;
    if (plan.user_buffers[i] >= 0) continue;
    const int64_t bytes =
        round_up(evaluate(tensor.shape, maxima).elements() * size_of(tensor.dtype), kAlignment);
    plan.offsets[i] = first_fit(placed, std::max(bytes, kAlignment), lives[i]);
    plan.bytes = std::max(plan.bytes, placed.back().end);
  }
  return plan;
}

}  // namespace octavo

// Placement of activations: nothing that is alive at the same time overlaps.
// SPDX-License-Identifier: Apache-2.0
#include "program/memory_plan.h"

#include <gtest/gtest.h>

#include "model/tiny_model.h"
#include "program/recorder.h"

namespace octavo {
namespace {

constexpr SymbolValues kSizes{
    .tokens = 33, .sequences = 5, .logit_rows = 7, .cache_blocks = 9, .table_width = 3};

TEST(MemoryPlan, LiveTensorsNeverOverlap) {
  const Program program = kLlama.emit(tiny_config(), {});
  const MemoryPlan plan = plan_memory(program, kSizes);
  const std::vector<Lifetime> lives = lifetimes(program);
  const auto bytes = [&](size_t i) {
    return evaluate(program.tensors[i].shape, kSizes).elements() *
           size_of(program.tensors[i].dtype);
  };
  int compared = 0;
  for (size_t a = 0; a < program.tensors.size(); ++a) {
    if (plan.offsets[a] < 0) continue;
    EXPECT_EQ(plan.offsets[a] % 256, 0);
    EXPECT_LE(plan.offsets[a] + bytes(a), plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      if (plan.offsets[b] < 0 || lives[a].first > lives[b].last || lives[b].first > lives[a].last)
        continue;
      ++compared;
      EXPECT_TRUE(plan.offsets[a] + bytes(a) <= plan.offsets[b] ||
                  plan.offsets[b] + bytes(b) <= plan.offsets[a])
          << program.tensors[a].name << " and " << program.tensors[b].name;
    }
  }
  EXPECT_GT(compared, 10);
}

TEST(MemoryPlan, ReusesMemoryAcrossLayers) {
  ModelConfig deep = tiny_config();
  deep.num_layers = 8;
  EXPECT_EQ(plan_memory(kLlama.emit(tiny_config(), {}), kSizes).bytes,
            plan_memory(kLlama.emit(deep, {}), kSizes).bytes);
}

TEST(MemoryPlan, OutputsLiveToTheEnd) {
  const Program program = kLlama.emit(tiny_config(), {});
  const Lifetime logits = lifetimes(program)[static_cast<size_t>(program.outputs[0])];
  EXPECT_EQ(logits.last, static_cast<int>(program.calls.size()));
}

// Sums of three matrices one after another, as ranks make them layer by layer.
Program with_user_buffers(int count) {
  const SymbolicShape rows = {Dim::of(Symbol::kTokens), Dim::constant(64)};
  const auto activation = [&](Program& program, const std::string& name) {
    return program.add({.name = name, .dtype = DType::kBF16, .shape = rows});
  };
  Program program;
  const TensorId weight = program.add({.name = "weight",
                                       .kind = TensorKind::kWeight,
                                       .dtype = DType::kBF16,
                                       .shape = {Dim::constant(64)}});
  TensorId residual = activation(program, "first"), normed = residual;
  program.calls.push_back(
      {.op = Op::kRecv, .params = RecvParams{.columns = 64}, .outputs = {residual}});
  for (int i = 0; i < count; ++i) {
    const TensorId part = activation(program, "part"), sum = activation(program, "sum"),
                   y = activation(program, "y");
    program.calls.push_back({.op = Op::kAdd, .inputs = {normed, normed}, .outputs = {part}});
    program.calls.push_back({.op = Op::kAllReduceAddRmsNorm,
                             .params = ReduceNormParams{.ranks = 2, .user_buffer = true},
                             .inputs = {part, residual, weight, kNoTensor},
                             .outputs = {sum, y}});
    residual = sum;
    normed = y;
  }
  program.outputs = {normed};
  return program;
}

TEST(MemoryPlan, UserBuffersTakeTurnsInMemoryOfTheirOwn) {
  const Program program = with_user_buffers(3);
  ASSERT_NO_THROW(validate(program));
  const MemoryPlan plan = plan_memory(program, kSizes);
  EXPECT_EQ(plan.user_buffer_bytes, 4352);  // 33 × 64 × 2 = 4224, in steps of 256
  std::vector<int> taken;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    EXPECT_EQ(plan.user_buffers[i] >= 0, program.tensors[i].name == "part");
    if (plan.user_buffers[i] < 0) continue;
    EXPECT_EQ(plan.offsets[i], -1);  // not in the arena
    taken.push_back(plan.user_buffers[i]);
  }
  EXPECT_EQ(taken, (std::vector<int>{0, 1, 0}));
}

TEST(MemoryPlan, AUserBufferThatOthersUseIsRefused) {
  Program program = with_user_buffers(2);
  const TensorId part = program.calls[1].outputs[0];
  program.calls.push_back(
      {.op = Op::kAdd,
       .inputs = {part, part},
       .outputs = {program.add(
           {.name = "late", .dtype = DType::kBF16, .shape = program.tensor(part).shape})}});
  EXPECT_THROW(validate(program), Error);
  program = with_user_buffers(2);
  program.calls[4].inputs[0] = program.calls[1].outputs[0];  // the same one twice
  EXPECT_THROW(validate(program), Error);
}

}  // namespace
}  // namespace octavo

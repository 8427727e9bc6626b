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

}  // namespace
}  // namespace octavo

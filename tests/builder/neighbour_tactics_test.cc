// Tactics around attention are taken where a whole layer is faster with them.
// SPDX-License-Identifier: Apache-2.0
#include "builder/neighbour_tactics.h"

#include <gtest/gtest.h>

#include <thread>

#include "builder/draft_support.h"
#include "builder/logit_rows.h"

namespace octavo {
namespace {

constexpr AttentionNeighbours kSets[] = {{"a", "slow", "b"}, {"c", "quick", "d"}, {"", "slow", ""}};

int attention_runs = 0;

void run_attention(const Operands& operands, const LaunchContext& context) {
  ++attention_runs;
  if (context.tactic != "quick") std::this_thread::sleep_for(std::chrono::microseconds(300));
  for (const Kernel& kernel : cpu_registry().all()) {
    if (kernel.name == "cpu_attention") kernel.run(operands, context);
  }
}

class NeighbourTacticsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Draft draft = plain_draft();
    fuse_qkv(draft);
    plan_ = {.kind = PlanKind::kDecode, .max_tokens = 2, .program = std::move(draft.program)};
    give_all_rows_logits(plan_.program);
    remove_dead_tensors(plan_.program);
    for (const Kernel* kernel : first_candidates(plan_.program, cpu_registry(), sizes_)) {
      kernels_.push_back(kernel->op == Op::kAttention ? &attention_ : kernel);
      plan_.kernels.emplace_back(kernels_.back()->name);
      plan_.tactics.emplace_back();
    }
    attention_runs = 0;
  }

  const std::string& tactic_of(Role role, int layer) const {
    const Call* const call = call_of(plan_.program, role, layer);
    return plan_.tactics[static_cast<size_t>(call - plan_.program.calls.data())];
  }
  void choose(TuningRecords* records = nullptr) {
    choose_neighbour_tactics(plan_, kernels_, sizes_, kSets, LayerTimer(device_), records);
  }

  static Kernel attention_kernel() {
    for (const Kernel& kernel : cpu_registry().all()) {
      if (kernel.name != "cpu_attention") continue;
      Kernel copy = kernel;
      copy.run = run_attention;
      return copy;
    }
    return {};
  }

  const Kernel attention_ = attention_kernel();
  ThreadPool pool_{1};
  HostDevice device_{pool_, /*graphs=*/true};
  SymbolValues sizes_{
      .tokens = 2, .sequences = 2, .logit_rows = 2, .cache_blocks = 1, .table_width = 3};
  Plan plan_;
  std::vector<const Kernel*> kernels_;
};

TEST_F(NeighbourTacticsTest, TheFastestLayerWins) {
  choose();
  for (const int layer : {0, 1}) {
    EXPECT_EQ(tactic_of(Role::kQkv, layer), "c");
    EXPECT_EQ(tactic_of(Role::kAttention, layer), "quick");
    EXPECT_EQ(tactic_of(Role::kO, layer), "d");
    EXPECT_EQ(tactic_of(Role::kDown, layer), "");
  }
}

TEST_F(NeighbourTacticsTest, ACallKeepsATacticOfItsOwn) {
  const Call* const o = call_of(plan_.program, Role::kO, 0);
  plan_.tactics[static_cast<size_t>(o - plan_.program.calls.data())] = "own";
  choose();
  EXPECT_EQ(tactic_of(Role::kO, 0), "own");
  EXPECT_EQ(tactic_of(Role::kAttention, 0), "quick");
}

TEST_F(NeighbourTacticsTest, WhatIsKnownIsNotMeasuredAgain) {
  TuningRecords records({.name = "test"}, {});
  const Plan before = plan_;
  choose(&records);
  const Plan chosen = std::exchange(plan_, before);
  const int runs = std::exchange(attention_runs, 0);
  EXPECT_GT(runs, 0);
  choose(&records);
  EXPECT_EQ(attention_runs, 0);
  EXPECT_EQ(plan_.tactics, chosen.tactics);
}

}  // namespace
}  // namespace octavo

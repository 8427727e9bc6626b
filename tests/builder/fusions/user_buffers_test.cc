// User buffers: what is summed with a norm behind it, in turns.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "builder/shard.h"
#include "program/memory_plan.h"

namespace octavo {
namespace {

Draft fused_draft(const RankPlace& place) {
  const ModelDir model = tiny_model();
  Draft draft = draft_program(model, {});
  shard(draft, model_tensors(*model.architecture, model.config), model.config, place);
  fuse_add_rms_norm(draft);
  fuse_reduce_norm(draft);
  return draft;
}

TEST(FuseUserBuffers, EverySumWithANormReadsWhereItsPartWasWritten) {
  Draft draft = fused_draft({.tp_size = 2});
  const size_t sums = calls_of(draft.program, Op::kAllReduceAddRmsNorm).size();
  ASSERT_GT(sums, 2u);
  fuse_user_buffers(draft);
  ASSERT_NO_THROW(validate(draft.program));
  EXPECT_EQ(user_buffer_calls(draft.program).size(), sums);
  const MemoryPlan plan =
      plan_memory(draft.program, {.tokens = 9, .sequences = 3, .logit_rows = 3});
  EXPECT_EQ(plan.user_buffer_bytes % 256, 0);
  EXPECT_GT(plan.user_buffer_bytes, 0);
}

// An odd number, and nothing else that all ranks wait in between one step's last and the next one's
// first: both would use the same place.
TEST(FuseUserBuffers, TheLastOfAnOddNumberDoesWithoutWhereNothingElseStandsBetween) {
  Draft draft = fused_draft({.tp_size = 2});
  Program& program = draft.program;
  std::vector<int> others;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Op op = program.calls[i].op;
    if (is_communication(op) && op != Op::kAllReduceAddRmsNorm)
      others.push_back(static_cast<int>(i));
  }
  ASSERT_FALSE(others.empty());
  Draft odd = draft;
  remove_calls(odd.program, others);
  std::vector<int> norms;
  for (size_t i = 0; i < odd.program.calls.size(); ++i) {
    if (odd.program.calls[i].op == Op::kAllReduceAddRmsNorm) norms.push_back(static_cast<int>(i));
  }
  const bool is_odd = norms.size() % 2 == 1;
  if (!is_odd) remove_calls(odd.program, {norms.front()});
  const size_t left = norms.size() - (is_odd ? 0 : 1);
  fuse_user_buffers(odd);
  EXPECT_EQ(user_buffer_calls(odd.program).size(), left - 1);
}

TEST(FuseUserBuffers, OneRankHasNone) {
  Draft draft = plain_draft();
  fuse_add_rms_norm(draft);
  fuse_user_buffers(draft);
  EXPECT_TRUE(user_buffer_calls(draft.program).empty());
}

}  // namespace
}  // namespace octavo

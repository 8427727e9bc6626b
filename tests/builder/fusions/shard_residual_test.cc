// Sharded sums: every rank keeps its rows of the residual, and who needs all of them gets them.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "builder/shard.h"

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

TEST(FuseShardResidual, SumsAreOfTheRanksOwnRowsAndNormsOfAll) {
  Draft draft = fused_draft({.tp_size = 2});
  fuse_shard_residual(draft);
  ASSERT_NO_THROW(validate(draft.program));
  const std::vector<const Call*> calls = calls_of(draft.program, Op::kAllReduceAddRmsNorm);
  ASSERT_GT(calls.size(), 1u);
  const auto divisor = [&](TensorId id) { return draft.program.tensor(id).shape[0].divisor; };
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_TRUE(std::get<ReduceNormParams>(calls[i]->params).sharded);
    EXPECT_EQ(divisor(calls[i]->inputs[1]), i == 0 ? 1 : 2);  // the embedding is whole
    EXPECT_EQ(divisor(calls[i]->outputs[0]), 2);
    EXPECT_EQ(divisor(calls[i]->outputs[1]), 1);
  }
}

size_t gathers_of_rows(const Program& program) {
  const std::vector<const Call*> all = calls_of(program, Op::kAllGather);
  return static_cast<size_t>(std::ranges::count_if(
      all, [](const Call* call) { return std::get<GroupParams>(call->params).by_rows; }));
}

// A stage ends with an add that nothing norms: it needs all rows.
TEST(FuseShardResidual, AStagesLastAddGetsTheWholeResidual) {
  Draft last = fused_draft({.tp_size = 2, .pp_size = 2, .rank = 2});
  fuse_shard_residual(last);
  ASSERT_NO_THROW(validate(last.program));
  Draft first = fused_draft({.tp_size = 2, .pp_size = 2, .rank = 0});
  const size_t gathers = gathers_of_rows(first.program);
  fuse_shard_residual(first);
  ASSERT_NO_THROW(validate(first.program));
  EXPECT_EQ(gathers_of_rows(first.program), gathers + 1);
  const Call* const add = calls_of(first.program, Op::kAdd).back();
  for (const TensorId id : add->inputs)
    EXPECT_EQ(first.program.tensor(id).shape[0].divisor, 1) << first.program.tensor(id).name;
}

TEST(FuseShardResidual, TwiceIsOnce) {
  Draft draft = fused_draft({.tp_size = 2});
  fuse_shard_residual(draft);
  const std::string once = to_string(draft.program);
  fuse_shard_residual(draft);
  EXPECT_EQ(to_string(draft.program), once);
}

}  // namespace
}  // namespace octavo

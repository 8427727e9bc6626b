// all_reduce, add_rms_norm → all_reduce_add_rms_norm.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "builder/shard.h"

namespace octavo {
namespace {

Draft sharded_draft() {
  const ModelDir model = tiny_model();
  Draft draft = draft_program(model, {});
  shard(draft, model_tensors(*model.architecture, model.config), model.config, {.tp_size = 2});
  return draft;
}

TEST(FuseReduceNorm, EverySumOfRanksThatANormFollows) {
  Draft draft = sharded_draft();
  const size_t sums = calls_of(draft.program, Op::kAllReduce).size();
  fuse_add_rms_norm(draft);
  const size_t norms = calls_of(draft.program, Op::kAddRmsNorm).size();
  fuse_reduce_norm(draft);
  ASSERT_NO_THROW(validate(draft.program));
  const std::vector<const Call*> fused = calls_of(draft.program, Op::kAllReduceAddRmsNorm);
  EXPECT_EQ(fused.size(), norms);
  EXPECT_EQ(calls_of(draft.program, Op::kAddRmsNorm).size(), 0u);
  EXPECT_EQ(calls_of(draft.program, Op::kAllReduce).size(), sums - norms);  // embedding, last sum
  EXPECT_EQ(std::get<ReduceNormParams>(fused[0]->params).ranks, 2);
  EXPECT_EQ(fused[0]->layer, 0);
}

TEST(FuseReduceNorm, OneRankHasNothingToFuse) {
  Draft draft = plain_draft();
  fuse_add_rms_norm(draft);
  fuse_reduce_norm(draft);
  EXPECT_EQ(calls_of(draft.program, Op::kAllReduceAddRmsNorm).size(), 0u);
}

}  // namespace
}  // namespace octavo

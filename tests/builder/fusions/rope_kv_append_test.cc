// rope(q), rope(k), kv_append → rope_kv_append.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

TEST(FuseRopeKvAppend, OneCallALayer) {
  Draft draft = fp8_draft();
  const std::vector<TensorId> scales = {calls_of(draft.program, Op::kKvAppend)[0]->inputs[3],
                                        calls_of(draft.program, Op::kKvAppend)[0]->inputs[4]};
  fuse_rope_kv_append(draft);
  const Program& program = draft.program;
  ASSERT_NO_THROW(validate(program));
  EXPECT_TRUE(calls_of(program, Op::kRope).empty());
  EXPECT_TRUE(calls_of(program, Op::kKvAppend).empty());
  const std::vector<const Call*> fused = calls_of(program, Op::kRopeKvAppend);
  ASSERT_EQ(fused.size(), 2u);
  EXPECT_EQ(fused[0]->inputs[6], scales[0]);
  EXPECT_EQ(fused[0]->inputs[7], scales[1]);
  EXPECT_EQ(calls_of(program, Op::kAttention)[0]->inputs[0], fused[0]->outputs[0]);
  EXPECT_EQ(std::get<RopeParams>(fused[0]->params).head_dim, 8);
}

TEST(FuseRopeKvAppend, KeysThatAreReadAgainStayRotated) {
  Draft draft = plain_draft();
  Program& program = draft.program;
  const TensorId k = calls_of(program, Op::kKvAppend)[0]->inputs[0];
  ProgramTensor sum = program.tensor(k);
  sum.name = "sum";
  const TensorId out = program.add(std::move(sum));
  program.calls.push_back({.op = Op::kAdd, .inputs = {k, k}, .outputs = {out}, .layer = 2});
  fuse_rope_kv_append(draft);
  ASSERT_NO_THROW(validate(program));
  EXPECT_EQ(calls_of(program, Op::kRopeKvAppend).size(), 1u);  // of layer 1
  EXPECT_EQ(calls_of(program, Op::kKvAppend).size(), 1u);
}

}  // namespace
}  // namespace octavo

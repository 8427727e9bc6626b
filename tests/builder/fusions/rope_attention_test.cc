// rope_kv_append and attention become one call with the same logits.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

TEST(FuseRopeAttention, OneCallALayerWithTheSameLogits) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  Draft draft = draft_program(model, {});
  fuse_rope_kv_append(draft);
  fuse_quantize(draft);
  const std::vector<float> before = logits_of(draft, *model.weights);
  const Call rope = *calls_of(draft.program, Op::kRopeKvAppend)[0];
  const Call attention = *calls_of(draft.program, Op::kAttention)[0];
  fuse_rope_attention(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kRopeKvAppend).empty());
  EXPECT_TRUE(calls_of(draft.program, Op::kAttention).empty());
  const std::vector<const Call*> fused = calls_of(draft.program, Op::kRopeAttention);
  ASSERT_EQ(fused.size(), 2u);
  EXPECT_EQ(fused[0]->role, Role::kAttention);
  EXPECT_EQ(fused[0]->inputs[0], rope.inputs[0]);
  EXPECT_EQ(fused[0]->inputs.back(), attention.inputs.back());
  EXPECT_EQ(fused[0]->outputs.back(), attention.outputs[0]);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

TEST(FuseRopeAttention, UnfusedRopesStay) {
  Draft draft = plain_draft();
  fuse_rope_attention(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kRopeAttention).empty());
}

TEST(FuseRopeAttention, QueriesThatAreReadAgainStayRotated) {
  Draft draft = plain_draft();
  fuse_rope_kv_append(draft);
  Program& program = draft.program;
  const TensorId q = calls_of(program, Op::kAttention)[0]->inputs[0];
  ProgramTensor sum = program.tensor(q);
  sum.name = "sum";
  const TensorId out = program.add(std::move(sum));
  program.calls.push_back({.op = Op::kAdd, .inputs = {q, q}, .outputs = {out}, .layer = 2});
  fuse_rope_attention(draft);
  ASSERT_NO_THROW(validate(program));
  EXPECT_EQ(calls_of(program, Op::kRopeAttention).size(), 1u);  // of layer 1
  EXPECT_EQ(calls_of(program, Op::kAttention).size(), 1u);
}

}  // namespace
}  // namespace octavo

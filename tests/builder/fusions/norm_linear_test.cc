// add_rms_norm and the linear behind it become one call with the same logits.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

const BuildConfig kSixteenBit = {.dtype = "bfloat16"};

void fuse_before(Draft& draft) {
  fuse_qkv(draft);
  fuse_gate_up(draft);
  fuse_add_rms_norm(draft);
  fuse_quantize(draft);
}

// Every norm with an add before it: the first has none, and the last reads rows that were gathered.
TEST(FuseNormLinear, EveryNormWithTheSameLogits) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  Draft draft = draft_program(model, kSixteenBit);
  fuse_before(draft);
  const std::vector<float> before = logits_of(draft, *model.weights);
  const size_t norms = calls_of(draft.program, Op::kAddRmsNorm).size();
  const Call norm = *calls_of(draft.program, Op::kAddRmsNorm)[0];
  fuse_norm_linear(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kAddRmsNorm).empty());
  const std::vector<const Call*> fused = calls_of(draft.program, Op::kAddRmsNormLinear);
  ASSERT_EQ(fused.size(), norms);
  EXPECT_EQ(fused[0]->role, Role::kGateUp);
  EXPECT_EQ(fused[1]->role, Role::kQkv);
  EXPECT_EQ(fused[0]->inputs[0], norm.inputs[0]);
  EXPECT_EQ(fused[0]->inputs[4], norm.inputs[3]);
  EXPECT_EQ(fused[0]->outputs[0], norm.outputs[0]);
  EXPECT_EQ(std::get<NormLinearParams>(fused[1]->params).segment_rows.size(), 3u);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

TEST(FuseNormLinear, WithSwigluBehindIt) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  Draft draft = draft_program(model, kSixteenBit);
  fuse_before(draft);
  fuse_linear_swiglu(draft);
  const std::vector<float> before = logits_of(draft, *model.weights);
  const size_t layers = calls_of(draft.program, Op::kLinearSwiglu).size();
  fuse_norm_linear_swiglu(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kLinearSwiglu).empty());
  EXPECT_EQ(calls_of(draft.program, Op::kAddRmsNormLinear).size(), layers);
  fuse_norm_linear(draft);
  const std::vector<const Call*> fused = calls_of(draft.program, Op::kAddRmsNormLinear);
  EXPECT_EQ(fused.size(), 2 * layers - 1);
  EXPECT_NE(fused[0]->inputs[7], kNoTensor);
  EXPECT_EQ(fused[1]->inputs[7], kNoTensor);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

// Gate and up by themselves both read the codes; rows that are not codes have another linear.
TEST(FuseNormLinear, LeavesNormsThatOthersReadAndNumbersThatAreNotCodes) {
  Draft apart = draft_program(tiny_model(fp8_with_kv_cache()), kSixteenBit);
  fuse_add_rms_norm(apart);
  fuse_quantize(apart);
  Draft plain = plain_draft();
  fuse_before(plain);
  for (Draft* draft : {&apart, &plain}) {
    fuse_norm_linear(*draft);
    fuse_norm_linear_swiglu(*draft);
    EXPECT_TRUE(calls_of(draft->program, Op::kAddRmsNormLinear).empty());
  }
}

}  // namespace
}  // namespace octavo

// The linear of gate and up and swiglu become one call with the same logits.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

const BuildConfig kSixteenBit = {.dtype = "bfloat16"};

void fuse_before(Draft& draft) {
  fuse_gate_up(draft);
  fuse_quantize(draft);
}

TEST(LinearSwiglu, FusesEveryLayerAndKeepsTheLogits) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  Draft draft = draft_program(model, kSixteenBit);
  fuse_before(draft);
  const std::vector<float> before = logits_of(draft, *model.weights);
  const size_t layers = calls_of(draft.program, Op::kSwiglu).size();
  ASSERT_GT(layers, 0u);
  fuse_linear_swiglu(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kSwiglu).empty());
  const auto fused = calls_of(draft.program, Op::kLinearSwiglu);
  ASSERT_EQ(fused.size(), layers);
  EXPECT_EQ(fused.front()->role, Role::kGateUp);
  EXPECT_EQ(std::get<LinearParams>(fused.front()->params).segment_rows.size(), 2u);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

TEST(LinearSwiglu, FusesExpertsAndKeepsTheLogits) {
  const ModelDir model = tiny_moe(fp8_with_kv_cache());
  Draft draft = draft_program(model, kSixteenBit);
  fuse_gate_up(draft);
  fuse_grouped_swiglu(draft);
  const std::vector<float> before = logits_of(draft, *model.weights);
  const size_t layers = calls_of(draft.program, Op::kGroupedSwiglu).size();
  ASSERT_GT(layers, 0u);
  fuse_linear_swiglu(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kGroupedSwiglu).empty());
  EXPECT_EQ(calls_of(draft.program, Op::kGroupedLinearSwiglu).size(), layers);
  EXPECT_EQ(calls_of(draft.program, Op::kGroupedLinear).size(), layers);  // of down
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

TEST(LinearSwiglu, LeavesWhatItsKernelWouldRoundOtherwise) {
  Draft plain = draft_program(tiny_model(), kSixteenBit);  // no codes
  Draft wide = draft_program(tiny_model(fp8_with_kv_cache()), {.dtype = "float32"});
  for (Draft* draft : {&plain, &wide}) {
    fuse_before(*draft);
    fuse_linear_swiglu(*draft);
    EXPECT_TRUE(calls_of(draft->program, Op::kLinearSwiglu).empty());
  }
}

TEST(LinearSwiglu, LeavesHalvesThatOthersRead) {
  Draft draft = draft_program(tiny_model(fp8_with_kv_cache()), kSixteenBit);
  fuse_before(draft);
  const size_t layers = calls_of(draft.program, Op::kSwiglu).size();
  const TensorId gate = calls_of(draft.program, Op::kSwiglu).front()->inputs[0];
  Call reader{.op = Op::kAdd, .inputs = {gate, gate}};
  reader.outputs = {draft.program.add(draft.program.tensor(gate))};
  draft.program.tensor(reader.outputs[0]).base = kNoTensor;
  draft.program.calls.push_back(reader);
  fuse_linear_swiglu(draft);
  EXPECT_EQ(calls_of(draft.program, Op::kLinearSwiglu).size(), layers - 1);
}

TEST(LinearSwiglu, UnmergedLinearsStay) {
  Draft draft = draft_program(tiny_model(fp8_with_kv_cache()), kSixteenBit);
  fuse_quantize(draft);
  fuse_linear_swiglu(draft);
  EXPECT_TRUE(calls_of(draft.program, Op::kLinearSwiglu).empty());
}

}  // namespace
}  // namespace octavo

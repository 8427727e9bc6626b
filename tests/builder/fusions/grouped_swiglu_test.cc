// swiglu and the quantize of experts' rows become one call with the same logits.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

TEST(GroupedSwiglu, FusesTheQuantizeOfExperts) {
  const ModelDir model = tiny_moe(fp8_with_kv_cache());
  Draft draft = draft_program(model, {});
  EXPECT_EQ(calls_of(draft.program, Op::kGroupedQuantize).size(), 4u);
  const std::vector<float> before = logits_of(draft, *model.weights);
  fuse_grouped_swiglu(draft);
  EXPECT_EQ(calls_of(draft.program, Op::kGroupedQuantize).size(), 2u);
  EXPECT_EQ(calls_of(draft.program, Op::kGroupedSwiglu).size(), 2u);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  EXPECT_EQ(logits_of(draft, *model.weights), before);
}

TEST(GroupedSwiglu, AllFusionsTogetherKeepTheLogitsOfExperts) {
  for (const auto& quantization : {CheckpointQuantization{}, fp8_with_kv_cache()}) {
    const ModelDir model = tiny_moe(quantization);
    Draft draft = draft_program(model, {});
    const std::vector<float> before = logits_of(draft, *model.weights);
    for (const Fusion& fusion : fusion_table()) fusion.apply(draft);
    remove_dead_tensors(draft.program);
    validate(draft.program);
    const Call& gate_up = *call_of(draft.program, Role::kGateUp, 1);
    EXPECT_EQ(to_string(draft.program.tensor(gate_up.inputs[1]).shape), "[4, 96, 32]");
    EXPECT_EQ(logits_of(draft, *model.weights), before);
  }
}

// Gate and up of one expert are neighbours, and so are their scales.
TEST(GroupedSwiglu, PartsOfAMergedStack) {
  const ModelDir model = tiny_moe(fp8_with_kv_cache());
  Draft draft = draft_program(model, {});
  fuse_gate_up(draft);
  const std::string module = "model.layers.0.block_sparse_moe.experts.*.gate_up_proj";
  const std::vector<std::string> parts = draft.parts_of(module + ".weight_scale");
  ASSERT_EQ(parts.size(), 8u);
  EXPECT_EQ(parts[2], "model.layers.0.block_sparse_moe.experts.1.w1.weight_scale");
  EXPECT_EQ(parts[3], "model.layers.0.block_sparse_moe.experts.1.w3.weight_scale");
}

TEST(GroupedSwiglu, ExpertsOfTwoPrecisionsAreRefused) {
  CheckpointQuantization quantization = fp8_with_kv_cache();
  quantization.exclude_modules.push_back("model.layers.1.block_sparse_moe.experts.2.w1");
  try {
    draft_program(tiny_moe(quantization), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("experts.2.w1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace octavo

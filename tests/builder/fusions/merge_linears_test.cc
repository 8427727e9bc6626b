// Merging of q, k, v and of gate, up.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

const LinearParams& params_of(const Call& call) { return std::get<LinearParams>(call.params); }

TEST(MergeLinears, QkvKeepsAWeightScaleASegment) {
  Draft draft = fp8_draft();
  fuse_qkv(draft);
  const Program& program = draft.program;
  ASSERT_NO_THROW(validate(program));
  const Call& qkv = *call_of(program, Role::kQkv, 1);
  EXPECT_EQ(qkv.module, "model.layers.1.self_attn.qkv_proj");
  EXPECT_EQ(params_of(qkv).segment_rows, (std::vector<int64_t>{32, 16, 16}));
  EXPECT_EQ(to_string(program.tensor(qkv.inputs[1]).shape), "[64, 32]");
  EXPECT_EQ(to_string(program.tensor(qkv.inputs[3]).shape), "[3]");
  EXPECT_THAT(draft.parts_of("model.layers.1.self_attn.qkv_proj.weight_scale"),
              testing::ElementsAre("model.layers.1.self_attn.q_proj.weight_scale",
                                   "model.layers.1.self_attn.k_proj.weight_scale",
                                   "model.layers.1.self_attn.v_proj.weight_scale"));
  EXPECT_EQ(call_of(program, Role::kQ, 1), nullptr);
  EXPECT_EQ(call_of(program, Role::kV, 1), nullptr);
}

TEST(MergeLinears, FormerOutputsBecomeColumnsOfOne) {
  Draft draft = fp8_draft();
  const TensorId k = call_of(draft.program, Role::kK, 0)->outputs[0];
  const TensorId v = call_of(draft.program, Role::kV, 0)->outputs[0];
  fuse_qkv(draft);
  const TensorId base = call_of(draft.program, Role::kQkv, 0)->outputs[0];
  EXPECT_EQ(draft.program.tensor(k).base, base);
  EXPECT_EQ(draft.program.tensor(k).column, 32);
  EXPECT_EQ(draft.program.tensor(v).column, 48);
}

TEST(MergeLinears, GateUp) {
  Draft draft = fp8_draft();
  fuse_gate_up(draft);
  const Call& merged = *call_of(draft.program, Role::kGateUp, 0);
  EXPECT_EQ(merged.module, "model.layers.0.mlp.gate_up_proj");
  EXPECT_EQ(params_of(merged).segment_rows, (std::vector<int64_t>{48, 48}));
  EXPECT_NO_THROW(validate(draft.program));
}

TEST(MergeLinears, SixteenBitMergesWithoutScales) {
  Draft draft = plain_draft();
  fuse_qkv(draft);
  const Call& qkv = *call_of(draft.program, Role::kQkv, 0);
  EXPECT_EQ(qkv.inputs[2], kNoTensor);
  EXPECT_EQ(qkv.inputs[3], kNoTensor);
  EXPECT_NO_THROW(validate(draft.program));
}

TEST(MergeLinears, UnequalInputScalesStayUnmerged) {
  EditedWeights weights(tiny_model(fp8_with_kv_cache()).weights);
  weights.replace("model.layers.0.self_attn.k_proj.input_scale", scalar_tensor(0.5f));
  Draft draft = draft_of(weights);
  fuse_qkv(draft);
  EXPECT_NE(call_of(draft.program, Role::kQ, 0), nullptr);
  EXPECT_EQ(call_of(draft.program, Role::kQkv, 0), nullptr);
  EXPECT_NE(call_of(draft.program, Role::kQkv, 1), nullptr);
  EXPECT_NO_THROW(validate(draft.program));
}

TEST(MergeLinears, MixedPrecisionStaysUnmerged) {
  CheckpointQuantization quantization = fp8_with_kv_cache();
  quantization.exclude_modules.push_back("model.layers.1.mlp.up_proj");
  Draft draft = draft_program(tiny_model(quantization), {});
  fuse_gate_up(draft);
  EXPECT_NE(call_of(draft.program, Role::kGateUp, 0), nullptr);
  EXPECT_EQ(call_of(draft.program, Role::kGateUp, 1), nullptr);
}

}  // namespace
}  // namespace octavo

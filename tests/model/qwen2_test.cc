// Qwen2: biases, optional windows and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/qwen2.h"

#include "model/family_case.h"

namespace octavo {
namespace {

TEST(Qwen2, TableIsTheProgram) { expect_table_is_the_program(kQwen2, family_config(kQwen2)); }

TEST(Qwen2, BiasesOnQKAndVAlone) {
  const Program program = kQwen2.emit(family_config(kQwen2), {});
  int biases = 0;
  for (const Call* call : calls_in_layer(program, Op::kLinear, 1)) {
    const bool expected =
        call->role == Role::kQ || call->role == Role::kK || call->role == Role::kV;
    EXPECT_EQ(call->inputs[4] != kNoTensor, expected) << call->module;
    biases += call->inputs[4] != kNoTensor;
  }
  EXPECT_EQ(biases, 3);
}

TEST(Qwen2, BiasesStaySixteenBitAndFollowTheirRows) {
  for (const ModelTensor& tensor : model_tensors(kQwen2, family_config(kQwen2))) {
    if (!tensor.is_bias()) continue;
    EXPECT_EQ(tensor.lowest, Precision::kSixteenBit) << tensor.name;
    EXPECT_EQ(tensor.shard, ShardAxis::kRows) << tensor.name;
  }
}

TEST(Qwen2, WindowsOnlyWhereSwitchedOn) {
  EXPECT_EQ(family_config(kQwen2, {{"sliding_window", 7}}).sliding_window, 0);
  const Program program = kQwen2.emit(
      family_config(
          kQwen2, {{"use_sliding_window", true}, {"sliding_window", 7}, {"max_window_layers", 1}}),
      {});
  EXPECT_EQ(window_in_layer(program, 0), 0);
  EXPECT_EQ(window_in_layer(program, 1), 7);
}

TEST(Qwen2, LayerTypesMustAgree) {
  const nlohmann::json windowed = {
      {"use_sliding_window", true}, {"sliding_window", 7}, {"max_window_layers", 1}};
  nlohmann::json good = windowed, bad = windowed;
  good["layer_types"] = {"full_attention", "sliding_attention"};
  bad["layer_types"] = {"sliding_attention", "sliding_attention"};
  EXPECT_NO_THROW(family_config(kQwen2, good));
  EXPECT_THROW(family_config(kQwen2, bad), Error);
}

TEST(Qwen2, RefusesByName) {
  expect_refused(kQwen2, "attention_bias", true);
  expect_refused(kQwen2, "layer_types", {"full_attention", "linear_attention"});
  expect_refused(kQwen2, "layer_types", {"full_attention"}, ErrorCategory::kBadFile);
  expect_refused(kQwen2, "num_experts", 60);
}

}  // namespace
}  // namespace octavo

// The order of fusions, their switches, and that all of them together change no number.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

std::vector<std::string> enabled_names(const BuildConfig& options) {
  std::vector<std::string> names;
  for (const Fusion& fusion : fusion_table()) {
    if (fusion.enabled(options)) names.emplace_back(fusion.name);
  }
  return names;
}

TEST(FusionTable, OrderAndSwitches) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(enabled_names({}), (Names{"qkv", "gate_up", "rope_kv_append", "add_rms_norm",
                                      "quantize", "grouped_swiglu"}));
  EXPECT_EQ(enabled_names({.plugin_config = {.use_fused_mlp = false}}),
            (Names{"qkv", "rope_kv_append", "add_rms_norm", "quantize", "grouped_swiglu"}));
  EXPECT_EQ(enabled_names({.plugin_config = {.norm_quant_fusion = false}}),
            (Names{"qkv", "gate_up", "rope_kv_append", "add_rms_norm"}));
  EXPECT_EQ(enabled_names({.device = "cuda"}).back(), "rope_attention");  // not on the CPU
  EXPECT_NE(
      enabled_names({.device = "cuda", .plugin_config = {.rope_attention_fusion = false}}).back(),
      "rope_attention");
  const PluginConfig norm = {.norm_linear_fusion = true};
  EXPECT_EQ(enabled_names({.plugin_config = norm}), enabled_names({}));
  EXPECT_EQ(enabled_names({.device = "cuda", .plugin_config = norm}).back(), "norm_linear_swiglu");
  for (const PluginConfig& swiglu :
       {PluginConfig{.gemm_swiglu_plugin = "fp8", .rope_attention_fusion = false},
        PluginConfig{.low_latency_gemm_swiglu_plugin = "fp8", .rope_attention_fusion = false}}) {
    EXPECT_EQ(enabled_names({.plugin_config = swiglu}), enabled_names({}));  // not on the CPU
    EXPECT_EQ(enabled_names({.device = "cuda", .plugin_config = swiglu}).back(), "linear_swiglu");
  }
}

// The unfused calls are the oracle of every fused one, bit for bit.
void expect_same_logits(Draft draft, const WeightSource& weights) {
  const std::vector<float> expected = logits_of(draft, weights);
  ASSERT_EQ(expected.size(), 7u * 61);
  for (const Fusion& fusion : fusion_table()) {
    fusion.apply(draft);
    ASSERT_NO_THROW(validate(draft.program)) << fusion.name;
    EXPECT_EQ(logits_of(draft, weights), expected) << fusion.name;
  }
  remove_dead_tensors(draft.program);
  ASSERT_NO_THROW(validate(draft.program));
  EXPECT_EQ(logits_of(draft, weights), expected);
}

TEST(FusionTable, NumbersOfFp8StayBitForBit) {
  expect_same_logits(fp8_draft(), *tiny_model(fp8_with_kv_cache()).weights);
}

TEST(FusionTable, NumbersOfSixteenBitStayBitForBit) {
  expect_same_logits(plain_draft(), *tiny_model().weights);
}

}  // namespace
}  // namespace octavo

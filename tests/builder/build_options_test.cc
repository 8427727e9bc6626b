// Refusals by name, and what defaults resolve to.
// SPDX-License-Identifier: Apache-2.0
#include "builder/build_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/tiny_model.h"

namespace octavo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr CheckpointFacts kFp8 = {.quantized = true, .kv_scales = true, .devices = 1};
constexpr CheckpointFacts kPlain = {};

std::string refusal(const BuildConfig& options, const CheckpointFacts& facts,
                    ErrorCategory category) {
  try {
    check_build_options(options, tiny_config(), facts);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    return error.what();
  }
  return "accepted";
}

std::string unsupported_plugins(const PluginConfig& plugins, const CheckpointFacts& facts = kFp8) {
  return refusal({.plugin_config = plugins}, facts, ErrorCategory::kUnsupported);
}

std::string unsupported_options(const BuildConfig& options, const CheckpointFacts& facts) {
  return refusal(options, facts, ErrorCategory::kUnsupported);
}

std::string usage(const BuildConfig& options) {
  return refusal(options, kFp8, ErrorCategory::kUsage);
}

TEST(BuildOptions, DefaultsAreAcceptedSilently) {
  EXPECT_TRUE(check_build_options({}, tiny_config(), kPlain).empty());
  EXPECT_TRUE(check_build_options({}, tiny_config(), kFp8).empty());
}

TEST(BuildOptions, PluginsThatExcludeEachOther) {
  EXPECT_THAT(unsupported_plugins({.user_buffer = true}),
              HasSubstr("--user_buffer enable: needs --reduce_fusion enable"));
  EXPECT_THAT(
      unsupported_plugins({.gemm_swiglu_plugin = "fp8", .low_latency_gemm_swiglu_plugin = "fp8"}),
      HasSubstr("choose one of the two"));
  EXPECT_THAT(unsupported_plugins({.gemm_swiglu_plugin = "fp8", .use_fused_mlp = false}),
              HasSubstr("needs --use_fused_mlp enable"));
}

// One kernel cannot quantize by a scale that it is only about to know.
TEST(BuildOptions, SwigluPluginsNeedStaticScales) {
  CheckpointFacts facts = kFp8;
  facts.dynamic_inputs = true;
  for (const PluginConfig& plugins : {PluginConfig{.gemm_swiglu_plugin = "fp8"},
                                      PluginConfig{.low_latency_gemm_swiglu_plugin = "fp8"}}) {
    const BuildConfig options = {.device = "cuda", .plugin_config = plugins};
    EXPECT_THAT(unsupported_options(options, facts), HasSubstr("needs a checkpoint with static"));
  }
  EXPECT_EQ(unsupported_options({.device = "cuda"}, facts), "accepted");
}

TEST(BuildOptions, Fp8NeedsADeviceThatHasIt) {
  CheckpointFacts old = kFp8;
  old.compute_capability = 80;
  EXPECT_THAT(unsupported_options({.device = "cuda"}, old),
              HasSubstr("FP8 on a device of compute capability 8.0: needs 8.9 or later"));
  old.quantized = old.kv_scales = false;
  EXPECT_TRUE(check_build_options({.device = "cuda"}, tiny_config(), old).empty());
  CheckpointFacts ada = kFp8;
  ada.compute_capability = 89;
  EXPECT_TRUE(check_build_options({.device = "cuda"}, tiny_config(), ada).empty());
}

TEST(BuildOptions, WhatHasNoEffectOnCudaIsANotice) {
  EXPECT_THAT(
      check_build_options({.device = "cuda", .plugin_config = {.use_paged_context_fmha = false}},
                          tiny_config(), kFp8),
      ElementsAre(HasSubstr("--use_paged_context_fmha disable has no effect")));
  PluginConfig norms = {.norm_linear_fusion = true};
  EXPECT_THAT(check_build_options({.device = "cuda", .plugin_config = norms}, tiny_config(), kFp8),
              ElementsAre(HasSubstr("--norm_linear_fusion has no effect without")));
  EXPECT_THAT(check_build_options({.plugin_config = norms}, tiny_config(), kFp8),
              ElementsAre("the CPU backend runs the unfused meaning of --norm_linear_fusion"));
  norms.low_latency_gemm_plugin = "fp8";
  EXPECT_TRUE(
      check_build_options({.device = "cuda", .plugin_config = norms}, tiny_config(), kFp8).empty());
}

void expect_swiglu_refusals(const PluginConfig& plugins, const std::string& flag) {
  BuildConfig options = {.device = "cuda", .plugin_config = plugins};
  CheckpointFacts facts = kFp8;
  options.dtype = "bfloat16";
  for (const int capability : {0, 90}) {
    facts.compute_capability = capability;
    EXPECT_TRUE(check_build_options(options, tiny_config(), facts).empty());
  }
  facts.compute_capability = 100;
  EXPECT_THAT(unsupported_options(options, facts),
              HasSubstr(flag + " fp8 on a device of compute capability 10.0"));
  facts.compute_capability = 90;
  options.plugin_config.norm_quant_fusion = false;
  EXPECT_THAT(unsupported_options(options, facts), HasSubstr("needs --norm_quant_fusion enable"));
  options.plugin_config.norm_quant_fusion = true;
  options.dtype = "float32";
  EXPECT_THAT(unsupported_options(options, facts), HasSubstr("needs bfloat16 activations"));
}

TEST(BuildOptions, SwigluPluginsNeedHopperAndRoundedHalves) {
  expect_swiglu_refusals({.gemm_swiglu_plugin = "fp8"}, "--gemm_swiglu_plugin");
  expect_swiglu_refusals({.low_latency_gemm_swiglu_plugin = "fp8"},
                         "--low_latency_gemm_swiglu_plugin");
}

TEST(BuildOptions, ExpertsHaveOneSwigluPlugin) {
  ModelConfig experts = tiny_config();
  experts.num_experts = 4;
  BuildConfig options = {.device = "cuda", .plugin_config = {.gemm_swiglu_plugin = "fp8"}};
  options.dtype = "bfloat16";
  EXPECT_TRUE(check_build_options(options, experts, kFp8).empty());
  options.plugin_config = {.low_latency_gemm_swiglu_plugin = "fp8"};
  EXPECT_THROW(check_build_options(options, experts, kFp8), Error);
}

TEST(BuildOptions, Fp8AttentionIsRefusedWhereItsKernelCannotRun) {
  const auto result = [](BuildConfig options, const ModelConfig& config, int capability) {
    options.device = "cuda";
    options.plugin_config.use_fp8_context_fmha = true;
    CheckpointFacts facts = kFp8;
    facts.compute_capability = capability;
    try {
      check_build_options(options, config, facts);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  ModelConfig config = tiny_config();
  config.head_dim = 64;
  EXPECT_EQ(result({.dtype = "bfloat16"}, config, 90), "accepted");
  EXPECT_EQ(result({.dtype = "bfloat16"}, config, 0), "accepted");
  EXPECT_THAT(result({.dtype = "bfloat16"}, config, 89), HasSubstr("capability 9.x"));
  EXPECT_THAT(result({.dtype = "bfloat16", .deterministic = true}, config, 90),
              HasSubstr("--deterministic"));
  EXPECT_THAT(result({.dtype = "float32"}, config, 90), HasSubstr("bfloat16 activations"));
  EXPECT_THAT(result({.dtype = "bfloat16", .tokens_per_block = 8}, config, 90),
              HasSubstr("--tokens_per_block"));
  config.head_dim = 96;
  EXPECT_THAT(result({.dtype = "bfloat16"}, config, 90), HasSubstr("head_dim of 64 or 128"));
}

TEST(BuildOptions, Fp8PluginsNeedAnFp8Checkpoint) {
  const std::pair<PluginConfig, const char*> cases[] = {
      {{.gemm_plugin = "fp8"}, "--gemm_plugin fp8: needs an FP8 checkpoint"},
      {{.gemm_swiglu_plugin = "fp8"}, "--gemm_swiglu_plugin fp8: needs an FP8 checkpoint"},
      {{.low_latency_gemm_plugin = "fp8"}, "--low_latency_gemm_plugin fp8: needs an FP8"},
      {{.low_latency_gemm_swiglu_plugin = "fp8"}, "--low_latency_gemm_swiglu_plugin fp8: needs"}};
  for (const auto& [plugins, message] : cases) {
    EXPECT_THAT(unsupported_plugins(plugins, kPlain), HasSubstr(message));
    EXPECT_THAT(unsupported_plugins(plugins, kPlain), HasSubstr("octavo quantize --qformat fp8"));
    EXPECT_EQ(unsupported_plugins(plugins), "accepted");
  }
}

TEST(BuildOptions, Fp8CachesNeedScales) {
  EXPECT_THAT(unsupported_options({.kv_cache_dtype = "fp8"}, kPlain),
              HasSubstr("--kv_cache_dtype fp8: the checkpoint has no calibrated K and V scales"));
  EXPECT_THAT(unsupported_plugins({.use_fp8_context_fmha = true}, kPlain),
              HasSubstr("--use_fp8_context_fmha enable: needs an FP8 KV cache"));
  EXPECT_THAT(
      unsupported_options(
          {.kv_cache_dtype = "bfloat16", .plugin_config = {.use_fp8_context_fmha = true}}, kFp8),
      HasSubstr("needs an FP8 KV cache"));
  EXPECT_THAT(unsupported_options({.dtype = "float32", .kv_cache_dtype = "bfloat16"}, kPlain),
              HasSubstr("--kv_cache_dtype bfloat16: "));
}

TEST(BuildOptions, Parallelism) {
  const CheckpointFacts many = {.devices = 64};
  EXPECT_THAT(unsupported_options({.tp_size = 3}, many),
              HasSubstr("--tp_size 3: must divide num_attention_heads 4"));
  EXPECT_THAT(unsupported_options({.pp_size = 3}, many), HasSubstr("the model has 2 layers"));
  EXPECT_THAT(unsupported_options({.tp_size = 2, .pp_size = 2}, kPlain),
              HasSubstr("needs 4 devices, this machine offers 1"));
  // Neither divides the KV heads nor is a multiple of them.
  ModelConfig config = tiny_config();
  config.num_heads = 12, config.num_kv_heads = 4;
  EXPECT_THROW(check_build_options({.tp_size = 6}, config, many), Error);
  EXPECT_EQ(unsupported_options({.tp_size = 4}, many), "accepted");  // KV heads are repeated
}

TEST(BuildOptions, ValuesOutOfRange) {
  EXPECT_THAT(usage({.dtype = "float16"}), HasSubstr("--dtype: expected auto|float32|bfloat16"));
  EXPECT_THAT(usage({.kv_cache_dtype = "int8"}), HasSubstr("--kv_cache_dtype: expected auto|fp8"));
  EXPECT_THAT(usage({.max_batch_size = 0}), HasSubstr("--max_batch_size: expected 1 to"));
  EXPECT_THAT(usage({.max_num_tokens = -1}), HasSubstr("--max_num_tokens: expected 1 to"));
  EXPECT_THAT(usage({.max_seq_len = 257}), HasSubstr("--max_seq_len: expected 1 to 256, got 257"));
  EXPECT_THAT(usage({.max_seq_len = 64, .max_input_len = 65}),
              HasSubstr("--max_input_len: expected 1 to 64, got 65"));
  EXPECT_THAT(usage({.tokens_per_block = 24}), HasSubstr("expected a power of two, got 24"));
  EXPECT_THAT(usage({.device = "tpu"}), HasSubstr("--device: expected auto|cpu|cuda"));
  EXPECT_THAT(usage({.plugin_config = {.gemm_plugin = "int4"}}),
              HasSubstr("--gemm_plugin: expected auto|fp8|bfloat16|disable, got \"int4\""));
  EXPECT_THAT(usage({.plugin_config = {.gemm_swiglu_plugin = "auto"}}),
              HasSubstr("--gemm_swiglu_plugin: expected disable|fp8"));
}

TEST(BuildOptions, WhatHasNoEffectIsANotice) {
  EXPECT_THAT(
      check_build_options({.plugin_config = {.reduce_fusion = true}}, tiny_config(), kPlain),
      ElementsAre("--reduce_fusion has no effect at TP 1"));
  for (const PluginConfig& plugins : {PluginConfig{.gemm_plugin = "fp8"},
                                      PluginConfig{.low_latency_gemm_swiglu_plugin = "fp8"}}) {
    EXPECT_THAT(check_build_options({.plugin_config = plugins}, tiny_config(), kFp8),
                ElementsAre("the CPU backend runs the unfused meaning of the GEMM plugins"));
  }
  ModelConfig half = tiny_config();
  half.dtype = DType::kF16;
  EXPECT_THAT(check_build_options({}, half, kPlain),
              ElementsAre("float16 weights run as bfloat16"));
}

TEST(BuildOptions, Resolution) {
  EXPECT_EQ(resolved_device({}), DeviceType::kCpu);
  ModelConfig config = tiny_config();
  EXPECT_EQ(activation_dtype({}, config), DType::kBF16);
  EXPECT_EQ(activation_dtype({.dtype = "float32"}, config), DType::kF32);
  config.dtype = DType::kF32;
  EXPECT_EQ(activation_dtype({}, config), DType::kF32);
  EXPECT_EQ(activation_dtype({.dtype = "bfloat16"}, config), DType::kBF16);
  EXPECT_EQ(resolved_max_seq_len({}, config), 256);
  EXPECT_EQ(resolved_max_seq_len({.max_seq_len = 9}, config), 9);
}

}  // namespace
}  // namespace octavo

// What the LLM class takes, and what becomes of it.
// SPDX-License-Identifier: Apache-2.0
#include "api/llm_args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

LLMArgs pocket_args() { return {.model = kPocket}; }

TEST(LlmArgs, SizesAskedForTwiceMustAgree) {
  LLMArgs args = pocket_args();
  args.tensor_parallel_size = 4;
  EXPECT_EQ(model_options(args).build_config.tp_size, 4);
  args.build_config.tp_size = 4;
  EXPECT_EQ(model_options(args).build_config.tp_size, 4);
  args.build_config.tp_size = 2;
  EXPECT_EQ(error_of([&] { model_options(args); }).field(), "tensor_parallel_size");
  args = pocket_args();
  args.dtype = "float32";
  EXPECT_EQ(model_options(args).build_config.dtype, "float32");
  args.build_config.dtype = "bfloat16";
  EXPECT_EQ(error_of([&] { model_options(args); }).field(), "dtype");
  EXPECT_EQ(error_of([] { model_options({}); }).field(), "model");
}

TEST(LlmArgs, CalibrationTakesTheConfigsWords) {
  LLMArgs args = pocket_args();
  EXPECT_FALSE(quantize_options(args));
  args.quant_config = {.quant_algo = QuantAlgo::kFp8, .exclude_modules = {"*.o_proj"}};
  args.calib_config.calib_batches = 6;
  args.calib_config.calib_batch_size = 2;
  const QuantizeOptions options = quantize_options(args).value();
  EXPECT_EQ(options.qformat, "fp8");
  EXPECT_EQ(options.kv_cache_dtype, "none");
  EXPECT_EQ(options.calib_size, 12);
  EXPECT_EQ(options.batch_size, 2);
  EXPECT_EQ(options.seed, 1234u);
  EXPECT_EQ(options.exclude_modules, args.quant_config.exclude_modules);
  args.quant_config = {.kv_cache_quant_algo = QuantAlgo::kFp8};
  EXPECT_EQ(quantize_options(args)->qformat, "full_prec");
  EXPECT_EQ(quantize_options(args)->kv_cache_dtype, "fp8");
}

TEST(LlmArgs, EveryAlgorithmHasItsFormat) {
  const std::pair<const char*, const char*> formats[] = {{"FP8", "fp8"},
                                                         {"FP8_PER_CHANNEL_PER_TOKEN", "fp8_pc_pt"},
                                                         {"W8A16", "int8_wo"},
                                                         {"FP8_BLOCK_SCALES", "fp8_block"},
                                                         {"W4A16_AWQ", "int4_awq"}};
  for (const auto& [name, qformat] : formats) {
    LLMArgs args = pocket_args();
    args.quant_config = {.quant_algo = parse_quant_algo(name)};
    EXPECT_EQ(quantize_options(args)->qformat, qformat);
    EXPECT_EQ(to_string(*args.quant_config.quant_algo), name);
  }
  LLMArgs args = pocket_args();
  args.quant_config = {.quant_algo = QuantAlgo::kFp8PerChannelPerToken,
                       .clamp_val = std::pair(-8.0f, 9.0f),
                       .use_meta_recipe = true};
  EXPECT_EQ(quantize_options(args)->clamp_val, args.quant_config.clamp_val);
  EXPECT_TRUE(quantize_options(args)->use_meta_recipe);
}

TEST(LlmArgs, DummyWeightsAreMadeInTheScheme) {
  LLMArgs args = pocket_args();
  args.load_format = "dummy";
  args.quant_config = {.quant_algo = QuantAlgo::kFp8PerChannelPerToken,
                       .kv_cache_quant_algo = QuantAlgo::kFp8};
  EXPECT_FALSE(quantize_options(args));
  const ModelOptions options = model_options(args);
  EXPECT_EQ(options.qformat, "fp8_pc_pt");
  EXPECT_EQ(options.build_config.kv_cache_dtype, "fp8");
  args.build_config.kv_cache_dtype = "bfloat16";
  EXPECT_EQ(model_options(args).build_config.kv_cache_dtype, "bfloat16");
  args.quant_config.exclude_modules = {"lm_head"};
  EXPECT_EQ(error_of([&] { model_options(args); }).field(), "exclude_modules");
}

TEST(LlmArgs, WhatCannotBeQuantizedIsNamed) {
  LLMArgs args = pocket_args();
  args.quant_config = {.quant_algo = QuantAlgo::kFp8,
                       .kv_cache_quant_algo = QuantAlgo::kFp8BlockScales};
  EXPECT_EQ(error_of([&] { quantize_options(args); }).field(), "kv_cache_quant_algo");
  args.quant_config.kv_cache_quant_algo.reset();
  args.calib_config.calib_batches = 0;
  EXPECT_EQ(error_of([&] { quantize_options(args); }).field(), "calib_config.calib_batches");
  args.calib_config = {.device = "tpu"};
  EXPECT_EQ(error_of([&] { quantize_options(args); }).field(), "calib_config.device");
  args.calib_config = {};
  const Error error = error_of([] { parse_quant_algo("W4A8_QSERVE_PER_GROUP"); });
  EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("NO_QUANT, FP8"));
  EXPECT_EQ(parse_quant_algo("FP8"), QuantAlgo::kFp8);
  EXPECT_EQ(to_string(QuantAlgo::kFp8), "FP8");
}

}  // namespace
}  // namespace octavo

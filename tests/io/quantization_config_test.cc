// How checkpoints say that they are quantized.
// SPDX-License-Identifier: Apache-2.0
#include "io/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/test_support.h"

namespace octavo {
namespace {

using nlohmann::json;
using testing::HasSubstr;

CheckpointQuantization read_file(const json& hf_quant_config) {
  return read_quantization_config(&hf_quant_config, json::object(), "dir");
}
CheckpointQuantization read_block(const json& block) {
  return read_quantization_config(nullptr, {{"quantization_config", block}}, "dir");
}

CheckpointQuantization fp8_and_cache() {
  return {.method = "modelopt",
          .weights = kFp8PerTensor,
          .inputs = kFp8PerTensor,
          .kv_cache = kFp8PerTensor,
          .exclude_modules = {"lm_head"}};
}

void expect_equal(const CheckpointQuantization& a, const CheckpointQuantization& b) {
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.kv_cache, b.kv_cache);
  EXPECT_EQ(a.exclude_modules, b.exclude_modules);
}

TEST(QuantizationConfig, BothSpellingsComeBack) {
  CheckpointQuantization cache_alone = fp8_and_cache();
  cache_alone.weights = cache_alone.inputs = {};
  CheckpointQuantization weights_alone = fp8_and_cache();
  weights_alone.kv_cache.reset();
  for (const CheckpointQuantization& written : {fp8_and_cache(), cache_alone, weights_alone}) {
    expect_equal(read_file(hf_quant_config_json(written)), written);
    expect_equal(read_block(quantization_config_json(written)), written);
  }
}

TEST(QuantizationConfig, AbsentMeansNotQuantized) {
  const CheckpointQuantization none = read_quantization_config(nullptr, json::object(), "dir");
  EXPECT_FALSE(none.quantized());
  EXPECT_FALSE(none.weights.quantized());
}

TEST(QuantizationConfig, TheFileWinsOverTheBlock) {
  const json file = hf_quant_config_json(fp8_and_cache());
  CheckpointQuantization other = fp8_and_cache();
  other.exclude_modules = {"lm_head", "model.layers.0"};
  const json config = {{"quantization_config", quantization_config_json(other)}};
  expect_equal(read_quantization_config(&file, config, "dir"), fp8_and_cache());
}

TEST(QuantizationConfig, WhatIsNotSupportedIsRefusedByName) {
  const auto category = [](const json& block) {
    return error_of([&] { read_block(block); }).category();
  };
  EXPECT_EQ(category({{"quant_method", "awq"}}), ErrorCategory::kUnsupported);
  EXPECT_EQ(category({{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}}),
            ErrorCategory::kUnsupported);
  EXPECT_EQ(category({{"quant_method", "modelopt"},
                      {"kv_cache_scheme", {{"num_bits", 4}, {"type", "float"}}}}),
            ErrorCategory::kUnsupported);
  EXPECT_EQ(category({{"quant_algo", "FP8"}}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({{"quant_method", 7}}), ErrorCategory::kBadFile);
  const Error error = error_of([] { read_file({{"quantization", {{"quant_algo", "INT4_AWQ"}}}}); });
  EXPECT_THAT(error.what(), HasSubstr("dir/hf_quant_config.json: quantization.quant_algo"));
  EXPECT_THAT(error.what(), HasSubstr("supported: FP8"));
}

TEST(ModuleMatches, NamesAndWhatIsBelowThem) {
  EXPECT_TRUE(module_matches("lm_head", "lm_head"));
  EXPECT_TRUE(module_matches("model.layers.1", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(module_matches("model.layers.1", "model.layers.11.mlp.up_proj"));
  EXPECT_FALSE(module_matches("up_proj", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(module_matches("", "lm_head"));
}

TEST(ModuleMatches, Wildcards) {
  EXPECT_TRUE(module_matches("*", "anything.at.all"));
  EXPECT_TRUE(module_matches("*.k_proj", "model.layers.0.self_attn.k_proj"));
  EXPECT_TRUE(module_matches("model.layers.?.mlp*", "model.layers.7.mlp.down_proj"));
  EXPECT_FALSE(module_matches("model.layers.?.mlp*", "model.layers.17.mlp.down_proj"));
  EXPECT_TRUE(module_matches("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(module_matches("*a*b", "xxaxxbxx"));
  // Neither exponential nor beyond the end.
  EXPECT_FALSE(module_matches("*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
  EXPECT_TRUE(is_excluded({"x", "*.y"}, "z.y"));
  EXPECT_FALSE(is_excluded({}, "z.y"));
}

}  // namespace
}  // namespace octavo

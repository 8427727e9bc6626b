// compressed-tensors' groups, strategies and targets.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/quantization_dialects.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using nlohmann::json;
using testing::HasSubstr;

CheckpointQuantization read(const json& block) {
  return read_compressed_tensors(JsonObject(block, "config.json", "quantization_config"));
}

CheckpointQuantization of(const LinearScheme& scheme) {
  return {.method = "compressed-tensors",
          .weights = scheme.weights,
          .inputs = scheme.inputs,
          .exclude_modules = {"lm_head"}};
}

json group(json weights, json inputs = nullptr) {
  return {
      {"config_groups",
       {{"any", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", inputs}}}}}};
}

TEST(CompressedTensorsConfig, WhatIsWrittenComesBack) {
  for (const LinearScheme& scheme :
       {kFp8Linear, kFp8PerChannelPerToken, kFp8Block, kInt8WeightOnly, kInt4WeightOnly}) {
    CheckpointQuantization written = of(scheme);
    EXPECT_EQ(read(compressed_tensors_json(written)), written) << to_string(scheme);
    written.kv_cache = kFp8PerTensor;
    EXPECT_EQ(read(compressed_tensors_json(written)), written) << to_string(scheme);
  }
}

TEST(CompressedTensorsConfig, GroupsOfMixedPrecision) {
  CheckpointQuantization mixed{.method = "compressed-tensors", .weights = {}};
  mixed.modules = {{"a", kFp8Linear}, {"b", kInt4WeightOnly}, {"c", kFp8Linear}};
  const CheckpointQuantization again = read(compressed_tensors_json(mixed));
  for (const char* module : {"a", "b", "c"})
    EXPECT_EQ(again.scheme_of(module), mixed.scheme_of(module)) << module;
  EXPECT_FALSE(again.scheme_of("d").quantized());
}

TEST(CompressedTensorsConfig, WhatCannotRunIsRefusedWithItsField) {
  const json e4m3 = {{"num_bits", 8}, {"type", "float"}};
  const std::pair<json, const char*> cases[] = {
      {group({{"num_bits", 2}, {"type", "int"}}), "num_bits"},
      {group({{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}, {"symmetric", false}}),
       "symmetric"},
      {group({{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor_group"}}), "strategy"},
      {group({{"num_bits", 4}, {"type", "int"}, {"strategy", "channel"}, {"actorder", "group"}}),
       "actorder"},
      {group(e4m3, {{"num_bits", 8}, {"type", "int"}}), "input_activations"},
      {group({{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}}, e4m3),
       "input_activations"},
      {group(e4m3, {{"strategy", "group"}, {"group_size", 64}, {"dynamic", true}}),
       "input_activations"},
      {{{"kv_cache_scheme", {{"num_bits", 8}, {"type", "float"}, {"strategy", "attn_head"}}}},
       "kv_cache_scheme"},
      {{{"format", "nvfp4-pack-quantized"}}, "format"}};
  for (const auto& [block, field] : cases) {
    const Error error = error_of([&block = block] { read(block); });
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported) << block;
    EXPECT_THAT(error.what(), HasSubstr(field));
  }
}

}  // namespace
}  // namespace octavo

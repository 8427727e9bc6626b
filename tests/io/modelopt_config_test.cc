// ModelOpt's names of schemes, its options and mixed precision.
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

CheckpointQuantization read(const json& object) {
  return read_modelopt(JsonObject(object, "file"));
}

TEST(ModelOptConfig, EveryNamedScheme) {
  const std::pair<const char*, LinearScheme> names[] = {
      {"FP8", kFp8Linear},
      {"FP8_PER_CHANNEL_PER_TOKEN", kFp8PerChannelPerToken},
      {"FP8_BLOCK_SCALES", kFp8Block},
      {"W8A16", kInt8WeightOnly},
      {"W4A16_AWQ", kInt4WeightOnly}};
  for (const auto& [name, scheme] : names) {
    const CheckpointQuantization read_back = read({{"quant_algo", name}});
    EXPECT_EQ(read_back.weights, scheme.weights) << name;
    EXPECT_EQ(read_back.inputs, scheme.inputs) << name;
    EXPECT_EQ(quant_algo_name(scheme), name);
  }
  EXPECT_EQ(read({{"quant_algo", "FP8_PB_WO"}}).weights, kFp8Block.weights);
  EXPECT_FALSE(read({{"quant_algo", "NO_QUANT"}}).weights.quantized());
  EXPECT_EQ(read({{"quant_algo", "W4A16_AWQ"}, {"group_size", 64}}).weights.block_columns, 64);
}

TEST(ModelOptConfig, OtherNamesAreRefusedWithTheList) {
  for (const char* name : {"W4A16", "W4A8_AWQ", "W8A16_GPTQ", "W4A16_GPTQ", "NVFP4", "MXFP8",
                           "INT8", "W8A8_SQ_PER_CHANNEL", "W4A8_QSERVE_PER_GROUP"}) {
    const Error error = error_of([&] { read({{"quant_algo", name}}); });
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported) << name;
    EXPECT_THAT(error.what(), HasSubstr("FP8, FP8_PER_CHANNEL_PER_TOKEN, FP8_BLOCK_SCALES"));
  }
  EXPECT_EQ(error_of([] {
              read({{"quant_algo", "W4A16_AWQ"}, {"has_zero_point", true}});
            }).category(),
            ErrorCategory::kUnsupported);
}

TEST(ModelOptConfig, ClampIsAnOrderedPair) {
  const auto clamp = read({{"quant_algo", "FP8"}, {"clamp_val", {-1200, 1200.5}}}).clamp;
  EXPECT_EQ(clamp, std::pair(-1200.0f, 1200.5f));
  for (const json& bad : {json{1}, json{2, 1}, json{1, 2, 3}, json{"a", 2}}) {
    EXPECT_EQ(error_of([&] {
                read({{"quant_algo", "FP8"}, {"clamp_val", bad}});
              }).category(),
              ErrorCategory::kBadFile);
  }
}

TEST(ModelOptConfig, LayersOfMixedPrecision) {
  const CheckpointQuantization mixed =
      read({{"quant_algo", "MIXED_PRECISION"},
            {"exclude_modules", {"lm_head"}},
            {"quantized_layers",
             {{"model.layers.0.mlp.up_proj", {{"quant_algo", "FP8"}}},
              {"model.layers.1", {{"quant_algo", "W4A16_AWQ"}, {"group_size", 32}}}}}});
  EXPECT_TRUE(mixed.quantizes_linears());
  EXPECT_EQ(mixed.scheme_of("model.layers.0.mlp.up_proj"), kFp8Linear);
  EXPECT_EQ(mixed.scheme_of("model.layers.1.mlp.up_proj").weights.block_columns, 32);
  EXPECT_FALSE(mixed.scheme_of("model.layers.0.mlp.down_proj").quantized());
  EXPECT_FALSE(mixed.scheme_of("lm_head").quantized());
  const CheckpointQuantization again = read_quantization_config(
      nullptr, {{"quantization_config", quantization_config_json(mixed)}}, "d");
  EXPECT_EQ(again, mixed);
}

}  // namespace
}  // namespace octavo

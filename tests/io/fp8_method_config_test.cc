// quant_method "fp8" in its two dialects.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/quantization_dialects.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using nlohmann::json;

CheckpointQuantization read(const json& block) {
  return read_fp8_method(JsonObject(block, "config.json"));
}

TEST(Fp8MethodConfig, FineGrained) {
  const CheckpointQuantization blocks = read({{"activation_scheme", "dynamic"},
                                              {"fmt", "e4m3"},
                                              {"weight_block_size", {128, 128}},
                                              {"modules_to_not_convert", {"lm_head", "gate"}}});
  EXPECT_EQ(blocks.weights, kFp8Block.weights);
  EXPECT_EQ(blocks.inputs, kFp8Block.inputs);
  EXPECT_FALSE(blocks.scheme_of("model.layers.3.mlp.gate").quantized());
  EXPECT_TRUE(blocks.scheme_of("model.layers.3.mlp.gate_proj").quantized());
}

TEST(Fp8MethodConfig, AutoFp8) {
  const CheckpointQuantization of_static = read({{"activation_scheme", "static"},
                                                 {"ignored_layers", {"lm_head"}},
                                                 {"kv_cache_scheme", "static"}});
  EXPECT_EQ(of_static.weights, kFp8PerTensor);
  EXPECT_EQ(of_static.inputs, kFp8PerTensor);
  EXPECT_EQ(of_static.kv_cache, kFp8PerTensor);
  const CheckpointQuantization dynamic = read({{"activation_scheme", "dynamic"}});
  EXPECT_EQ(dynamic.inputs, kFp8PerChannelPerToken.inputs);
}

TEST(Fp8MethodConfig, OthersAreRefused) {
  for (const json& block : {json{{"fmt", "e5m2"}}, json{{"activation_scheme", "weird"}}})
    EXPECT_EQ(error_of([&] { read(block); }).category(), ErrorCategory::kUnsupported);
  for (const json& size : {json{128}, json{0, 128}, json{"a", 1}})
    EXPECT_EQ(error_of([&] {
                read({{"weight_block_size", size}});
              }).category(),
              ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo

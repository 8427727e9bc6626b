// Reading of config.json: both spellings, every range, nothing that changes the arithmetic ignored.
// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "core/error.h"

namespace octavo {
namespace {

using nlohmann::json;

json valid() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 100},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"torch_dtype", "bfloat16"},
          {"eos_token_id", {1, 2}}};
}

std::string error_with(const char* key, json value,
                       ErrorCategory category = ErrorCategory::kBadFile) {
  json config = valid();
  config[key] = std::move(value);
  try {
    read_common_config(config, "config.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << key << ": " << error.what();
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("config.json"), testing::HasSubstr(key)));
    return error.what();
  }
  ADD_FAILURE() << key << " was accepted";
  return "";
}

TEST(Config, Defaults) {
  json config = valid();
  config.erase("num_key_value_heads");
  config.erase("rms_norm_eps");
  const ModelConfig read = read_common_config(config, "f");
  EXPECT_EQ(read.num_kv_heads, 4);
  EXPECT_EQ(read.head_dim, 16);
  EXPECT_FLOAT_EQ(read.rms_norm_eps, 1e-6f);
  EXPECT_EQ(read.max_position, 2048);
  EXPECT_FALSE(read.tie_word_embeddings);
  EXPECT_THAT(read.eos_token_ids, testing::ElementsAre(1, 2));
}

TEST(Config, BothSpellingsOfRope) {
  const json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  json old_spelling = valid();
  old_spelling["rope_scaling"] = scaling;
  json new_spelling = valid();
  new_spelling.erase("rope_theta");
  new_spelling["rope_parameters"] = scaling;
  new_spelling["rope_parameters"]["rope_theta"] = 500000.0;
  const RopeConfig a = read_common_config(old_spelling, "f").rope,
                   b = read_common_config(new_spelling, "f").rope;
  EXPECT_EQ(inverse_frequencies(a, 64), inverse_frequencies(b, 64));
  EXPECT_EQ(a.type, "llama3");
}

TEST(Config, EveryRequiredKeyIsNamedWhenMissing) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    json config = valid();
    config.erase(key);
    try {
      read_common_config(config, "f");
      ADD_FAILURE() << key;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(key));
    }
  }
}

TEST(Config, NumbersOfEveryWrongKind) {
  for (const char* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"}) {
    for (const json& bad : {json("4"), json(1.5), json(true), json(0), json(-1),
                            json(int64_t{1} << 31), json(9.3e18), json::array()}) {
      error_with(key, bad);
    }
  }
}

TEST(Config, HeadsMustFit) {
  error_with("num_key_value_heads", 3);
  error_with("num_key_value_heads", 8);
  error_with("head_dim", 15);
  error_with("hidden_size", 66);
}

TEST(Config, RopeIsChecked) {
  error_with("rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}, ErrorCategory::kUnsupported);
  error_with("rope_scaling", {{"type", "linear"}, {"factor", 0.0}});
  error_with("rope_scaling", {{"rope_type", "llama3"},
                              {"factor", 8.0},
                              {"low_freq_factor", 4.0},
                              {"high_freq_factor", 1.0},
                              {"original_max_position_embeddings", 8192}});
}

TEST(Config, UnsupportedArithmeticIsRefusedByName) {
  error_with("hidden_act", "gelu", ErrorCategory::kUnsupported);
  error_with("sliding_window", 4096, ErrorCategory::kUnsupported);
  error_with("final_logit_softcapping", 30.0, ErrorCategory::kUnsupported);
  error_with("num_local_experts", 8, ErrorCategory::kUnsupported);
}

TEST(Config, Epsilon) {
  for (const json& bad : {json(0), json(-1e-5), json(1e-45)}) error_with("rms_norm_eps", bad);
}

TEST(Config, TokenIdsInRange) {
  error_with("eos_token_id", 100);
  error_with("eos_token_id", {1, -1});
}

TEST(Config, GenerationConfigAddsEndIds) {
  ModelConfig config = read_common_config(valid(), "f");
  merge_generation_config(config, {{"eos_token_id", {2, 5}}, {"temperature", 0.6}}, "g");
  EXPECT_THAT(config.eos_token_ids, testing::ElementsAre(1, 2, 5));
  EXPECT_THROW(merge_generation_config(config, {{"temperature", -1}}, "g"), Error);
  EXPECT_THROW(merge_generation_config(config, {{"top_p", 2}}, "g"), Error);
}

TEST(Config, Llama3FrequenciesFollowTheRule) {
  const RopeConfig rope{.theta = 500000.0,
                        .type = "llama3",
                        .factor = 8.0,
                        .low_freq_factor = 1.0,
                        .high_freq_factor = 4.0,
                        .original_max_position = 8192};
  const std::vector<float> plain = inverse_frequencies({.theta = 500000.0}, 128),
                           scaled = inverse_frequencies(rope, 128);
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(plain[i]);
    if (wavelength < 8192.0 / 4.0) {
      EXPECT_EQ(scaled[i], plain[i]) << i;
    } else if (wavelength > 8192.0) {
      EXPECT_NEAR(scaled[i], plain[i] / 8.0f, 1e-6f * plain[i]) << i;
    } else {
      EXPECT_LT(scaled[i], plain[i]);
      EXPECT_GT(scaled[i], plain[i] / 8.0f);
    }
  }
}

}  // namespace
}  // namespace octavo

// Grids: combinations, refusals, and what settings become.
// SPDX-License-Identifier: Apache-2.0
#include "tune/grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class GridTest : public testing::Test {
 protected:
  std::vector<Settings> grid(const std::string& text) {
    const std::filesystem::path file = folder_.path() / "grid.json";
    std::ofstream(file) << text;
    return read_grid(file);
  }
  std::string refusal(const std::string& text) {
    try {
      grid(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kBadFile) << error.what();
      return error.what();
    }
    return "accepted";
  }

  TemporaryDirectory folder_;
};

TEST_F(GridTest, EveryCombinationOnce) {
  const auto settings = grid(
      R"({"max_batch_size": [8, 64], "kv_cache_dtype": ["auto", "fp8"], "use_fused_mlp": [true]})");
  ASSERT_EQ(settings.size(), 4u);
  EXPECT_EQ(command_line(settings[0]),
            "--kv_cache_dtype auto --max_batch_size 8 --use_fused_mlp enable");
  EXPECT_EQ(command_line(settings[3]),
            "--kv_cache_dtype fp8 --max_batch_size 64 --use_fused_mlp enable");
  EXPECT_EQ(grid("{}").size(), 1u);
}

TEST_F(GridTest, RefusesWhatIsNoGrid) {
  EXPECT_THAT(refusal(R"({"max_batch": [8]})"),
              HasSubstr("no flag of a grid; there are gemm_plugin"));
  EXPECT_THAT(refusal(R"({"max_batch_size": []})"), HasSubstr("expected at least one value"));
  EXPECT_THAT(refusal(R"({"max_batch_size": ["8"]})"), HasSubstr("max_batch_size"));
  EXPECT_THAT(refusal(R"({"max_batch_size": [0]})"), HasSubstr("max_batch_size"));
  EXPECT_THAT(refusal(R"({"use_fused_mlp": ["on"]})"), HasSubstr("expected enable or disable"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("grid.json"));
  std::string many = "{";
  for (const std::string& flag : {"max_batch_size", "max_num_tokens", "tokens_per_block"}) {
    many += (many.size() > 1 ? ", \"" : "\"") + flag + "\": [1";
    for (int i = 2; i <= 20; ++i) many += ", " + std::to_string(i);
    many += "]";
  }
  EXPECT_THAT(refusal(many + "}"), HasSubstr("more than 4096 combinations"));
}

TEST_F(GridTest, SettingsReachTheirOptions) {
  ModelOptions model;
  RuntimeOptions runtime;
  apply_settings({{"max_num_tokens", "512"},
                  {"kv_cache_dtype", "fp8"},
                  {"reduce_fusion", "enable"},
                  {"low_latency_gemm_plugin", "fp8"},
                  {"scheduler_policy", "max_utilization"}},
                 model, runtime);
  EXPECT_EQ(model.build_config.max_num_tokens, 512);
  EXPECT_EQ(model.build_config.kv_cache_dtype, "fp8");
  EXPECT_TRUE(model.build_config.plugin_config.reduce_fusion);
  EXPECT_EQ(model.build_config.plugin_config.low_latency_gemm_plugin, "fp8");
  EXPECT_EQ(runtime.scheduler_policy, "max_utilization");
}

TEST_F(GridTest, PythonArguments) {
  EXPECT_EQ(
      llm_arguments({{"max_batch_size", "8"}, {"user_buffer", "disable"}, {"gemm_plugin", "fp8"}}),
      "build_config=BuildConfig(max_batch_size=8, "
      "plugin_config=PluginConfig(gemm_plugin=\"fp8\", user_buffer=False))");
  EXPECT_EQ(llm_arguments({{"scheduler_policy", "max_utilization"}}),
            "scheduler_policy=\"max_utilization\"");
  EXPECT_EQ(llm_arguments({}), "");
}

TEST_F(GridTest, EveryFlagIsOneOfTheProgram) {
  for (const std::string& flag : tunable_flags()) {
    ModelOptions model;
    RuntimeOptions runtime;
    apply_settings({{flag, "2"}}, model, runtime);
  }
  EXPECT_GT(tunable_flags().size(), 10u);
}

}  // namespace
}  // namespace octavo

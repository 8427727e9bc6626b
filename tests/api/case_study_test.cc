// The case study from end to end with dummy weights: every step, resumption, refusals.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/case_study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class CaseStudyTest : public testing::Test {
 protected:
  CaseStudyOptions options() const {
    CaseStudyOptions options{.num_requests = 4,
                             .input_tokens = 8,
                             .output_tokens = 4,
                             .latency_requests = 3,
                             .window_s = 0.01,
                             .output_dir = folder_ / "study"};
    options.model.model_dir = std::filesystem::path(OCTAVO_SOURCE_DIR) / "models" / "pocket-llama";
    options.model.load_format = "dummy";
    options.model.build_config.device = "cpu";
    options.model.threads = 1;
    options.runtime.kv_cache_config.max_tokens = 8192;
    options.runtime.max_batch_size = 8;
    return options;
  }
  nlohmann::json rows() const { return read_json_file(folder_ / "study" / "case-study.json"); }
  static std::string run(const CaseStudyOptions& options) {
    SilentProgress silent;
    return run_case_study(options, silent);
  }

  TemporaryDirectory folder_;
};

TEST_F(CaseStudyTest, EveryStepHasFiguresOrAReason) {
  const std::string text = run(options());
  ASSERT_EQ(rows().size(), 8u);
  for (const nlohmann::json& row : rows()) {
    const std::string step = row["step"];
    if (step == "fp8-reduce") {
      EXPECT_THAT(row["refused"].get<std::string>(), HasSubstr("--tp_size")) << step;
      continue;
    }
    EXPECT_EQ(row["refused"], "") << step;
    EXPECT_GT(row["token_throughput"].get<double>(), 0) << step;
    EXPECT_GT(row["ttft_ms"].get<double>(), 0) << step;
    EXPECT_GT(row["itl_ms"].get<double>(), 0) << step;
  }
  EXPECT_THAT(text, HasSubstr("tuned FP8"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "study" / "case-study.html"));
}

TEST_F(CaseStudyTest, FinishedRowsAreNotRunAgain) {
  CaseStudyOptions first = options();
  first.steps = {"fp8"};
  run(first);
  const nlohmann::json before = rows();
  ASSERT_EQ(before.size(), 1u);
  first.steps = {"fp8", "fp8-kv"};
  run(first);
  EXPECT_EQ(rows().size(), 2u);
  EXPECT_EQ(rows()[0], before[0]);
}

TEST_F(CaseStudyTest, ATimeBudgetLeavesStepsForLater) {
  CaseStudyOptions short_of_time = options();
  short_of_time.time_budget_s = 1e-9;
  run(short_of_time);
  EXPECT_TRUE(rows().empty());
}

TEST_F(CaseStudyTest, OptionsThatDoNotFitAreUsageErrors) {
  const auto refused = [](const CaseStudyOptions& options) {
    try {
      run(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  CaseStudyOptions unknown = options();
  unknown.steps = {"fp9"};
  EXPECT_THAT(refused(unknown), HasSubstr("fp8-kv"));
  CaseStudyOptions weights = options();
  weights.model.load_format = "auto";
  EXPECT_THAT(refused(weights), HasSubstr("--quantized_dir"));
}

}  // namespace
}  // namespace octavo

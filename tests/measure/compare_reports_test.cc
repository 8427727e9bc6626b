// Comparison of reports: changes, their noise by hand, settings that differ.
// SPDX-License-Identifier: Apache-2.0
#include "measure/compare_reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace octavo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

nlohmann::json report(double throughput, double itl_ms, double p50, double p90) {
  return nlohmann::json::parse(R"({"engine": {"dtype": "bfloat16"}, "performance": {
      "protocol": "full", "finished_requests": 100, "ttft_ms": {"avg": null}, "e2e_latency_ms": {}}})")
      .patch({{{"op", "add"}, {"path", "/performance/token_throughput"}, {"value", throughput}},
              {{"op", "add"}, {"path", "/performance/request_throughput"}, {"value", 1}},
              {{"op", "add"},
               {"path", "/performance/itl_ms"},
               {"value", {{"avg", itl_ms}, {"p50", p50}, {"p90", p90}}}}});
}

TEST(CompareReports, ChangesBeyondTheNoiseAreNamed) {
  const auto changes =
      compare_reports(report(1000, 10, 10, 10), "a", report(1100, 9.9, 9.9, 9.9), "b");
  ASSERT_EQ(changes.size(), 3u);  // no time to first token in either
  EXPECT_EQ(changes[0].metric, "token_throughput");
  EXPECT_NEAR(changes[0].change, 0.1, 1e-12);
  EXPECT_FALSE(changes[0].is_noise());
  EXPECT_EQ(changes[2].metric, "itl_ms");
  EXPECT_NEAR(changes[2].change, -0.01, 1e-12);
  EXPECT_TRUE(changes[2].is_noise());
  const std::string text = comparison_text(changes, {});
  EXPECT_THAT(text, HasSubstr("better"));
  EXPECT_THAT(text, HasSubstr("noise\n"));
}

// Spreads of 1.2816 ms up to the 90th percentile: a deviation of 1 ms, 0.1 ms for the average of
// 100, √2 times that for the difference of two, and twice that of an average of 5 ms.
TEST(CompareReports, NoiseFollowsTheSpreadOfTheRequests) {
  const auto changes =
      compare_reports(report(1, 5, 5, 6.2816), "a", report(1, 5.2, 5.2, 6.4816), "b");
  EXPECT_NEAR(changes[2].noise, 2 * 0.1 * std::sqrt(2.0) / 5, 1e-6);
  EXPECT_TRUE(changes[2].is_noise());
}

TEST(CompareReports, SettingsThatDifferAreListed) {
  nlohmann::json other = report(1, 1, 1, 1);
  other["engine"]["dtype"] = "float32";
  other["performance"]["protocol"] = "steady";
  EXPECT_THAT(different_settings(report(1, 1, 1, 1), other),
              ElementsAre("engine.dtype: \"bfloat16\", \"float32\"",
                          "performance.protocol: \"full\", \"steady\""));
  EXPECT_TRUE(different_settings(other, other).empty());
}

TEST(CompareReports, WhatIsNoReportIsRefused) {
  nlohmann::json broken = report(1, 1, 1, 1);
  broken["performance"].erase("token_throughput");
  for (const nlohmann::json& bad : {nlohmann::json::array(), nlohmann::json::object(), broken})
    EXPECT_THROW(compare_reports(bad, "a", report(1, 1, 1, 1), "b"), Error);
}

}  // namespace
}  // namespace octavo

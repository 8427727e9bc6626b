// Divergences, paired intervals and the verdict.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> logs(const std::vector<float>& probabilities) {
  std::vector<float> logits;
  for (const float p : probabilities) logits.push_back(std::log(p));
  return logits;
}

TEST(KlDivergence, KnownDistributions) {
  EXPECT_EQ(kl_divergence(logs({0.2f, 0.8f}), logs({0.2f, 0.8f})), 0.0);
  const double expected = 0.5 * std::log(0.5 / 0.25) + 0.5 * std::log(0.5 / 0.75);
  EXPECT_NEAR(kl_divergence(logs({0.5f, 0.5f}), logs({0.25f, 0.75f})), expected, 1e-7);
  // Not symmetric.
  const double back = 0.25 * std::log(0.25 / 0.5) + 0.75 * std::log(0.75 / 0.5);
  EXPECT_NEAR(kl_divergence(logs({0.25f, 0.75f}), logs({0.5f, 0.5f})), back, 1e-7);
}

TEST(KlDivergence, DoesNotSeeAShiftOfAllLogits) {
  const std::vector<float> a = {1.0f, 2.0f, 3.0f}, b = {1001.0f, 1002.0f, 1003.0f};
  EXPECT_NEAR(kl_divergence(a, b), 0.0, 1e-12);
}

TEST(CompareModels, AModelAgainstItself) {
  ThreadPool pool(1);
  HostDevice device(pool);
  const auto image = tiny_image();
  Runner a(image, cpu_registry(), device, {}), b(image, cpu_registry(), device, {});
  const std::vector<int32_t> stream = tiny_ids(25);
  const auto windows = compare_models(a, b, stream, {.context = 8});
  ASSERT_EQ(windows.size(), 3u);
  for (const WindowComparison& window : windows) {
    EXPECT_EQ(window.kl, 0.0);
    EXPECT_EQ(window.agreements, 8);
    EXPECT_EQ(window.tokens, 8);
    EXPECT_EQ(window.reference_nll, window.engine_nll);
  }
  const CompareReport report = summarize(windows, {.max_ppl_increase = 0.0, .max_kl = 0.0});
  EXPECT_TRUE(report.failures.empty());
  EXPECT_EQ(report.top1_agreement, 1.0);
  EXPECT_EQ(report.reference_perplexity, measure_perplexity(a, stream, {.context = 8}).value());
}

TEST(CompareModels, TwoModelsDiffer) {
  ThreadPool pool(1);
  HostDevice device(pool);
  Runner a(tiny_image(), cpu_registry(), device, {});
  Runner b(tiny_image(fp8_with_kv_cache()), cpu_registry(), device, {});
  const auto windows = compare_models(a, b, tiny_ids(17), {.context = 8});
  EXPECT_GT(windows[0].kl, 0.0);
  EXPECT_NE(windows[0].reference_nll, windows[0].engine_nll);
}

std::vector<WindowComparison> windows() {
  return {{.reference_nll = 20, .engine_nll = 20.4, .kl = 0.1, .agreements = 9, .tokens = 10},
          {.reference_nll = 30, .engine_nll = 30.2, .kl = 0.3, .agreements = 10, .tokens = 10},
          {.reference_nll = 25, .engine_nll = 24.9, .kl = 0.2, .agreements = 8, .tokens = 10}};
}

TEST(Summarize, MeansOverAllTokens) {
  const CompareReport report = summarize(windows(), {});
  EXPECT_NEAR(report.reference_perplexity, std::exp(75.0 / 30), 1e-9);
  EXPECT_NEAR(report.engine_perplexity, std::exp(75.5 / 30), 1e-9);
  EXPECT_NEAR(report.ppl_increase, std::exp(0.5 / 30) - 1, 1e-12);
  EXPECT_NEAR(report.mean_kl, 0.02, 1e-12);
  EXPECT_NEAR(report.top1_agreement, 0.9, 1e-12);
  EXPECT_EQ(report.tokens, 30);
  EXPECT_EQ(report.windows, 3);
  EXPECT_TRUE(report.failures.empty());
}

TEST(Summarize, IntervalsHoldTheMeansAndAreTheSameEveryTime) {
  const CompareReport a = summarize(windows(), {}), b = summarize(windows(), {});
  EXPECT_EQ(a.ppl_increase_interval.low, b.ppl_increase_interval.low);
  EXPECT_EQ(a.mean_kl_interval.high, b.mean_kl_interval.high);
  EXPECT_LT(a.ppl_increase_interval.low, a.ppl_increase);
  EXPECT_GT(a.ppl_increase_interval.high, a.ppl_increase);
  EXPECT_LT(a.mean_kl_interval.low, a.mean_kl);
  EXPECT_GT(a.top1_agreement_interval.high, a.top1_agreement);
  // One window leaves nothing to resample.
  const CompareReport one = summarize({windows()[0]}, {});
  EXPECT_EQ(one.mean_kl_interval.low, one.mean_kl_interval.high);
}

TEST(Summarize, VerdictAgainstTheBudget) {
  EXPECT_THAT(
      summarize(windows(), {.max_ppl_increase = 0.01}).failures,
      ElementsAre(HasSubstr("perplexity increase 1.681 % exceeds --max_ppl_increase 1.000")));
  EXPECT_THAT(summarize(windows(), {.max_kl = 0.01}).failures,
              ElementsAre(HasSubstr("mean KL 0.020000 exceeds --max_kl 0.010000")));
  EXPECT_EQ(summarize(windows(), {.max_ppl_increase = 0.0, .max_kl = 0.0}).failures.size(), 2u);
  EXPECT_TRUE(summarize(windows(), {.max_ppl_increase = 0.02, .max_kl = 0.03}).failures.empty());
}

TEST(PerplexityInterval, HoldsTheValue) {
  const Perplexity perplexity{
      .mean_nll = 2.5, .tokens = 30, .windows = 3, .window_nll = {20, 30, 25}};
  const Interval interval = perplexity_interval(perplexity);
  EXPECT_LT(interval.low, perplexity.value());
  EXPECT_GT(interval.high, perplexity.value());
  EXPECT_GE(interval.low, std::exp(2.0));
  EXPECT_LE(interval.high, std::exp(3.0));
}

}  // namespace
}  // namespace octavo

// eval perplexity and eval compare as callers see them.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

const EvalOptions kOptions = {
    .dataset = kPocket / "calibration.jsonl", .context = 64, .max_tokens = 300};

TEST(Evaluate, PerplexityOfTheEmbeddedModel) {
  SilentProgress silent;
  const PerplexityReport report = evaluate_perplexity(pocket_options(), kOptions, silent);
  EXPECT_EQ(report.windows, 4);
  EXPECT_EQ(report.tokens, 4 * 64);
  EXPECT_EQ(report.context, 64);
  // A trained model on text of its own kind; random guessing gives 4096.
  EXPECT_GT(report.perplexity, 1.0);
  EXPECT_LT(report.perplexity, 400.0);
  EXPECT_LE(report.interval.low, report.perplexity);
  EXPECT_GE(report.interval.high, report.perplexity);
}

TEST(Evaluate, AModelIsItsOwnBestReference) {
  SilentProgress silent;
  const CompareReport same =
      evaluate_compare(pocket_options(), pocket_options(), kOptions, {.max_kl = 0.0}, silent);
  EXPECT_EQ(same.mean_kl, 0.0);
  EXPECT_EQ(same.top1_agreement, 1.0);
  EXPECT_TRUE(same.failures.empty());
  const CompareReport other = evaluate_compare(pocket_options(), dummy_options(), kOptions,
                                               {.max_ppl_increase = 0.01, .max_kl = 0.1}, silent);
  EXPECT_GT(other.mean_kl, 0.1);
  EXPECT_EQ(other.failures.size(), 2u);
}

TEST(Evaluate, RefusesWhatCannotBeMeasured) {
  SilentProgress silent;
  const auto error = [&](const EvalOptions& options) {
    return error_of([&] { evaluate_perplexity(pocket_options(), options, silent); });
  };
  EXPECT_EQ(error({.dataset = kOptions.dataset, .context = 0}).category(), ErrorCategory::kUsage);
  EXPECT_THAT(error({.dataset = kOptions.dataset, .context = 513}).what(),
              HasSubstr("--context 513: the model takes at most 512 tokens"));
  EXPECT_THAT(error({.dataset = kOptions.dataset, .context = 100, .max_tokens = 100}).what(),
              HasSubstr("fewer than one window of 101"));
  EXPECT_EQ(error({.dataset = kOptions.dataset, .max_tokens = -1}).category(),
            ErrorCategory::kUsage);
}

TEST(WriteReport, ReplacesTheFileAsAWhole) {
  const TemporaryDirectory folder;
  write_report(folder / "report.json", "old");
  write_report(folder / "report.json", "new");
  EXPECT_EQ(read_bytes(folder / "report.json"), "new");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"report.json"});
}

}  // namespace
}  // namespace octavo

// eval perplexity, compare and choice as callers see them.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/evaluate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

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

// Questions whose right answers are what the model itself says, so that its accuracy is known.
TEST(Evaluate, ChoiceCountsWhatTheModelSays) {
  const TemporaryDirectory folder;
  const auto file_of = [&](const std::vector<int>& answers) {
    std::string text;
    for (size_t i = 0; i < answers.size(); ++i)
      text += fmt::format("Which option comes in place {}?,first,second,third,{}\n", i,
                          static_cast<char>('A' + answers[i]));
    return folder.write("q.csv", text);
  };
  SilentProgress silent;
  const auto right = [&](int i, int letter) {
    std::vector<int> answers(6, 0);
    answers[static_cast<size_t>(i)] = letter;
    const ChoiceReport report = evaluate_choice(
        pocket_options(), std::nullopt, {.dataset = file_of(answers), .num_fewshot = 0}, silent);
    EXPECT_EQ(report.questions, 6);
    return report.accuracy;
  };
  // Each question has exactly one letter that the model likes best.
  for (const int i : {0, 5}) {
    const std::vector<double> by_letter = {right(i, 0), right(i, 1), right(i, 2)};
    const double best = std::ranges::max(by_letter);
    EXPECT_EQ(std::ranges::count(by_letter, best), 1) << i;
    EXPECT_NEAR(best - std::ranges::min(by_letter), 1.0 / 6, 1e-12) << i;
  }
}

TEST(Evaluate, ChoiceComparesOnTheSameQuestions) {
  const TemporaryDirectory folder;
  std::string text;
  for (int i = 0; i < 9; ++i) text += fmt::format("Question {}?,x,y,z,w,{}\n", i, "ABCD"[i % 4]);
  const ChoiceEvalOptions options = {
      .dataset = folder.write("q.csv", text), .num_fewshot = 3, .max_accuracy_drop = 0.0};
  SilentProgress silent;
  const ChoiceReport same = evaluate_choice(pocket_options(), pocket_options(), options, silent);
  EXPECT_EQ(same.questions, 6);
  EXPECT_EQ(same.accuracy, same.reference_accuracy);
  EXPECT_EQ(same.p_value, 1.0);
  EXPECT_TRUE(same.failures.empty());
  const ChoiceReport other = evaluate_choice(dummy_options(), pocket_options(), options, silent);
  const auto difference = other.only_engine_right - other.only_reference_right;
  EXPECT_NEAR(static_cast<double>(difference) / 6, other.accuracy - *other.reference_accuracy,
              1e-12);
  ChoiceEvalOptions too_many = options;
  too_many.num_fewshot = 9;
  EXPECT_THROW(evaluate_choice(pocket_options(), std::nullopt, too_many, silent), Error);
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

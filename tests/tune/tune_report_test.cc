// Reports of tuning: round trips, the winner, an HTML page that needs nothing else.
// SPDX-License-Identifier: Apache-2.0
#include "tune/tune_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using testing::Not;

TuneSummary summary() {
  TuneSummary summary{.objective = "throughput",
                      .requests = 30,
                      .full_trials = 2.5,
                      .base_command = "octavo bench throughput --model_dir a<b"};
  summary.records = {
      {.settings = {{"max_batch_size", "8"}},
       .requests = 30,
       .token_throughput = 100,
       .ttft_ms = 5,
       .itl_ms = 2},
      {.settings = {{"max_batch_size", "64"}},
       .requests = 30,
       .token_throughput = 400,
       .ttft_ms = 20,
       .itl_ms = 4,
       .ppl_increase = 0.0125},
      {.settings = {{"max_batch_size", "9"}}, .requests = 10, .refused = "a <bad> one"}};
  summary.best = 1;
  return summary;
}

TEST(TuneReport, RecordsSurviveTheRoundTrip) {
  for (const TrialRecord& record : summary().records) {
    const TrialRecord back = trial_from_json(nlohmann::json::parse(to_json(record).dump()), "f");
    EXPECT_EQ(back.settings, record.settings);
    EXPECT_EQ(back.requests, record.requests);
    EXPECT_EQ(back.token_throughput, record.token_throughput);
    EXPECT_EQ(back.ppl_increase, record.ppl_increase);
    EXPECT_EQ(back.refused, record.refused);
  }
  EXPECT_THROW(trial_from_json({{"settings", 3}}, "f"), Error);
}

TEST(TuneReport, ObjectivesOrderTrials) {
  const TuneSummary all = summary();
  EXPECT_GT(score_of(all.records[1], "throughput"), score_of(all.records[0], "throughput"));
  EXPECT_LT(score_of(all.records[1], "itl"), score_of(all.records[0], "itl"));
  EXPECT_LT(score_of(all.records[1], "ttft"), score_of(all.records[0], "ttft"));
}

TEST(TuneReport, NamesTheWinner) {
  const std::string text = to_text(summary());
  EXPECT_THAT(
      text,
      HasSubstr(
          "best by throughput:\n  octavo bench throughput --model_dir a<b --max_batch_size 64"));
  EXPECT_THAT(text, HasSubstr("LLM(model, build_config=BuildConfig(max_batch_size=64))"));
  EXPECT_THAT(text, HasSubstr("+1.25 %"));
  EXPECT_EQ(to_json(summary())["best"]["settings"]["max_batch_size"], "64");
  TuneSummary none = summary();
  none.best.reset();
  EXPECT_THAT(to_text(none), HasSubstr("no candidate"));
  EXPECT_TRUE(to_json(none)["best"].is_null());
}

TEST(TuneReport, ThePageStandsAlone) {
  const std::string html = to_html(summary());
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, HasSubstr("class=\"best\""));
  EXPECT_THAT(html, HasSubstr("a &lt;bad&gt; one"));
  EXPECT_THAT(html, HasSubstr("a&lt;b"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  TuneSummary empty{.objective = "itl", .requests = 5};
  EXPECT_THAT(to_html(empty), HasSubstr("No trial ran"));
}

}  // namespace
}  // namespace octavo

// The case study's steps and tables.
// SPDX-License-Identifier: Apache-2.0
#include "tune/case_study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using testing::Not;

CaseStudyRow row(const std::string& step, double throughput, double itl_ms) {
  return {.step = step,
          .command_line = "--max_batch_size 512",
          .protocol = "steady",
          .date = "2026-01-31",
          .device = "GPU",
          .measured = {throughput, throughput / 2048, 20.0, itl_ms},
          .itl_floor_ms = 1.5};
}

TEST(CaseStudySteps, AreThePublishedOnesInTheirOrder) {
  std::set<std::string> names;
  for (const CaseStudyStep& step : case_study_steps()) {
    EXPECT_TRUE(names.insert(step.name).second) << step.name;
    ModelOptions model;
    RuntimeOptions runtime;
    EXPECT_NO_THROW(apply_settings(step.settings, model, runtime)) << step.name;
  }
  EXPECT_EQ(case_study_steps().front().qformat, "full_prec");
  EXPECT_EQ(case_study_steps()[1].published->token_throughput, 3389.5305);
}

TEST(CaseStudyRows, RoundTripThroughJson) {
  const CaseStudyRow before = row("fp8-kv", 12000.5, 2.25);
  const CaseStudyRow after = case_study_row_from(to_json(before), "f");
  EXPECT_EQ(to_json(after), to_json(before));
  const nlohmann::json whole = to_json(before);
  for (const auto& [key, value] : whole.items()) {
    nlohmann::json broken = whole;
    broken.erase(key);
    EXPECT_THROW(case_study_row_from(broken, "f"), Error) << key;
  }
}

TEST(CaseStudyTables, ImprovementsAreCountedAsPublished) {
  const std::vector<CaseStudyRow> rows = {row("bf16", 5000, 4.0), row("fp8", 8000, 3.0),
                                          row("fp8-tuned", 10000, 2.0)};
  const std::string text = case_study_markdown(rows);
  EXPECT_THAT(text, HasSubstr("| 5000.0 | 10000.0 | +100.0 % | +144.5 % |"));
  EXPECT_THAT(text, HasSubstr("| 4.000 | 2.000 | +50.0 % | +26.3 % |"));
  EXPECT_THAT(text, HasSubstr("| 8000.0 | 10000.0 | +25.0 % | +78.5 % |"));
  EXPECT_THAT(case_study_html(rows), HasSubstr("<td>+100.0 %</td>"));
}

TEST(CaseStudyTables, ARefusedRowSaysWhyAndIsComparedWithNothing) {
  CaseStudyRow refused = row("bf16", 0, 0);
  refused.refused = "does not fit";
  const std::vector<CaseStudyRow> rows = {refused, row("fp8-tuned", 10000, 2.0)};
  const std::string text = case_study_markdown(rows);
  EXPECT_THAT(text, HasSubstr("| does not fit |"));
  EXPECT_THAT(text, Not(HasSubstr("improvement")));
}

}  // namespace
}  // namespace octavo

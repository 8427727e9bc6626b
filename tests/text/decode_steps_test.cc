// What each step makes of tokens, and what it holds back.
// SPDX-License-Identifier: Apache-2.0
#include "text/decode_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using ::testing::ElementsAre;

// What comes out for each token, and at the end, with the tokens of one push joined by "|".
std::vector<std::string> run(DecodeStep& step, const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  const auto collect = [&](const std::vector<std::string>& results) {
    std::string joined;
    for (size_t i = 0; i < results.size(); ++i) joined += (i == 0 ? "" : "|") + results[i];
    out.push_back(joined);
  };
  for (const std::string& token : tokens) {
    std::vector<std::string> results;
    step.push(token, results);
    collect(results);
  }
  std::vector<std::string> rest;
  step.finish(rest);
  collect(rest);
  return out;
}

TEST(DecodeSteps, ByteLevelHoldsIncompleteCharacters) {
  ByteLevelStep step;
  EXPECT_THAT(run(step, {"Ġa", "Ã", "©", "ð", "b"}), ElementsAre(" a", "", "é", "", "\uFFFDb", ""));
  EXPECT_THAT(run(step, {"<a b>", "â"}), ElementsAre("<a b>", "", "\uFFFD"));
}

TEST(DecodeSteps, ByteFallbackHoldsRuns) {
  ByteFallbackStep step;
  EXPECT_THAT(run(step, {"a", "<0xC3>", "<0xA9>", "b"}), ElementsAre("a", "", "", "é|b", ""));
  EXPECT_THAT(run(step, {"<0xC3>", "<0xA9>", "<0xff>"}),
              ElementsAre("", "", "", "\uFFFD|\uFFFD|\uFFFD"));
  EXPECT_THAT(run(step, {"<0xG0>", "<0x1>"}), ElementsAre("<0xG0>", "<0x1>", ""));
}

TEST(DecodeSteps, FuseChangesNothing) {
  FuseStep step;
  EXPECT_THAT(run(step, {"a", "b"}), ElementsAre("a", "b", ""));
}

TEST(DecodeSteps, Replace) {
  const testing::Document document({{"pattern", {{"String", "▁"}}}, {"content", " "}});
  ReplaceStep step(Replacement::read(document.field.as_object()));
  EXPECT_THAT(run(step, {"▁a▁", "b"}), ElementsAre(" a ", "b", ""));
}

TEST(DecodeSteps, StripOfEachToken) {
  StripStep step({"H", 1, 0, /*fused=*/false});
  EXPECT_THAT(run(step, {"Hey", "friend", "HHH"}), ElementsAre("ey", "friend", "HH", ""));
  StripStep end({"y", 0, 1, /*fused=*/false});
  EXPECT_THAT(run(end, {"Hey", "yy", "ya"}), ElementsAre("He", "y", "ya", ""));
}

TEST(DecodeSteps, StripOfAStream) {
  StripStep step({" ", 2, 2, /*fused=*/true});
  EXPECT_THAT(run(step, {" ", "  a", " ", "  ", "b", "   "}),
              ElementsAre("", " a", "", " ", "  b", " ", ""));
}

TEST(DecodeSteps, Metaspace) {
  MetaspaceStep always({"▁", PrependScheme::kAlways, true});
  EXPECT_THAT(run(always, {"▁▁a▁b", "▁c"}), ElementsAre("ab", " c", ""));
  MetaspaceStep never({"▁", PrependScheme::kNever, true});
  EXPECT_THAT(run(never, {"▁a", "▁c"}), ElementsAre(" a", " c", ""));
}

TEST(DecodeSteps, Join) {
  JoinStep step;
  EXPECT_THAT(run(step, {"a", "", "b"}), ElementsAre("a", " ", " b", ""));
}

}  // namespace
}  // namespace octavo

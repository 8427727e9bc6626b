// The five behaviours, with the results of the reference.
// SPDX-License-Identifier: Apache-2.0
#include "text/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace octavo {
namespace {

// Cuts "the-final--countdown" at "-".
std::vector<std::string> cut_text(SplitBehavior behavior) {
  const std::string text = "the-final--countdown";
  std::vector<std::string> out;
  for (const TextRange& range : cut(Regex::literal("-").split(text), behavior)) {
    out.push_back(text.substr(range.begin, range.end - range.begin));
  }
  return out;
}

using ::testing::ElementsAre;

TEST(Split, Behaviors) {
  EXPECT_THAT(cut_text(SplitBehavior::kRemoved), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(cut_text(SplitBehavior::kIsolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(cut_text(SplitBehavior::kMergedWithPrevious),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(cut_text(SplitBehavior::kMergedWithNext),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(cut_text(SplitBehavior::kContiguous),
              ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(Split, NothingFromNothing) { EXPECT_TRUE(cut({}, SplitBehavior::kMergedWithNext).empty()); }

}  // namespace
}  // namespace octavo

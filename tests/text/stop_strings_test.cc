// Stop strings end a text at the same place however it is cut into pieces.
// SPDX-License-Identifier: Apache-2.0
#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "text/text_testing.h"
#include "text/unicode.h"

namespace octavo {
namespace {

TEST(StopStrings, TheTailThatCouldBeginAStopStringIsHeldBack) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("one E"), "one ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("T E"), "ENT ");
  EXPECT_EQ(matcher.push("ND more"), "");
  ASSERT_TRUE(matcher.match().has_value());
  EXPECT_EQ(matcher.match()->begin_byte, 8);
  EXPECT_EQ(matcher.push("x"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, TheRestComesAtTheEnd) {
  StopMatcher matcher({"\n\n"});
  EXPECT_EQ(matcher.push("a\n"), "a");
  EXPECT_EQ(matcher.finish(), "\n");
  EXPECT_FALSE(matcher.match().has_value());
}

TEST(StopStrings, IncludeStop) {
  StopMatcher matcher({"END"}, /*include_stop=*/true);
  EXPECT_EQ(matcher.push("aEN"), "a");
  EXPECT_EQ(matcher.push("D b"), "END");
}

TEST(StopStrings, TheFirstCompleteOneWinsThenTheLongest) {
  StopMatcher matcher({"cd", "abcd", "abcdef"});
  EXPECT_EQ(matcher.push("xabcdef"), "x");
  EXPECT_EQ(matcher.match()->index, 1u);
}

TEST(StopStrings, NoStopStringsHoldNothing) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, BadStopStrings) {
  for (const char* stop : {"", "\xFF", "\xE2\x82"}) {
    EXPECT_EQ(testing::category_of([&] { StopMatcher matcher({stop}); }), ErrorCategory::kUsage);
  }
}

// The definition: the shortest prefix of the text that ends with a stop string.
std::string expected_text(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(StopStrings, PiecesDoNotMatter) {
  std::mt19937 random(1);
  const auto text_of = [&](size_t max) {
    std::string text;
    for (size_t i = 1 + random() % max; i > 0; --i)
      text += random() % 4 == 0 ? "é" : random() % 2 == 0 ? "a" : "b";
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops = {text_of(3), text_of(4), text_of(5)};
    const std::string text = text_of(20);
    StopMatcher matcher(stops);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      for (size_t i = random() % 4; i > 0 && end < text.size(); --i)
        end += decode_code_point(text, end).bytes;
      const std::string piece = matcher.push(text.substr(at, end - at));
      EXPECT_TRUE(is_valid_utf8(piece));
      out += piece;
      at = end;
    }
    EXPECT_EQ(out + matcher.finish(), expected_text(text, stops));
  }
}

}  // namespace
}  // namespace octavo

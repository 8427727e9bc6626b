// Matches, the gaps between them, and the budget of hostile patterns.
// SPDX-License-Identifier: Apache-2.0
#include "text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/text_testing.h"

namespace octavo {
namespace {

// The pieces, matches in brackets.
std::vector<std::string> pieces(const Regex& regex, const std::string& text) {
  std::vector<std::string> out;
  for (const TextRange& range : regex.split(text)) {
    const std::string piece = text.substr(range.begin, range.end - range.begin);
    out.push_back(range.is_match ? "[" + piece + "]" : piece);
  }
  return out;
}

std::vector<std::string> pieces(const std::string& pattern, const std::string& text) {
  return pieces(Regex::compile(pattern, "t.json", "pattern"), text);
}

using ::testing::ElementsAre;

TEST(Regex, MatchesAndGapsCoverTheText) {
  EXPECT_THAT(pieces("b+", "abbc"), ElementsAre("a", "[bb]", "c"));
  EXPECT_THAT(pieces("x", "abc"), ElementsAre("abc"));
  EXPECT_THAT(pieces("b", ""), ElementsAre());
  EXPECT_THAT(pieces(R"(\s+(?!\S)|\s+)", "a   b "), ElementsAre("a", "[  ]", "[ ]", "b", "[ ]"));
}

TEST(Regex, EmptyMatchesDoNotLoop) {
  EXPECT_THAT(pieces("(?=b)", "abb"), ElementsAre("a", "[]", "b", "[]", "b"));
  EXPECT_THAT(pieces("b*", "abc"), ElementsAre("[]", "a", "[b]", "c", "[]"));
}

TEST(Regex, LiteralsAreTakenLiterally) {
  EXPECT_THAT(pieces(Regex::literal("a.c"), "abca.ca.c"), ElementsAre("abc", "[a.c]", "[a.c]"));
  EXPECT_THAT(pieces(Regex::literal(""), "é"), ElementsAre("[]", "é", "[]"));
}

TEST(Regex, ClassesFollowTheReferencesUnicode) {
  EXPECT_THAT(pieces(R"(\s)", "a\u180Eb\u2003c\x1C"), ElementsAre("a\u180Eb", "[\u2003]", "c\x1C"));
  EXPECT_THAT(pieces(R"(\w+)", "e\u0301²-\u2040"), ElementsAre("[e\u0301²]", "-", "[\u2040]"));
  EXPECT_THAT(pieces(R"([\w]+)", "e²"), ElementsAre("[e]", "²"));
  EXPECT_THAT(pieces(R"(\p{Lu})", "a\u1C89\U00010D50"),
              ElementsAre("a", "[\u1C89]", "[\U00010D50]"));
  EXPECT_THAT(pieces(R"(\bb|\Bb)", "b ab"), ElementsAre("[b]", " a", "[b]"));
  EXPECT_THAT(pieces(R"((?i:'s))", "'S'\u017F"), ElementsAre("['S]", "['\u017F]"));
}

TEST(Regex, LinesAreRubyLines) {
  EXPECT_THAT(pieces("^.", "ab\ncd\n"), ElementsAre("[a]", "b\n", "[c]", "d\n"));
}

TEST(Regex, LongTextsAreSearchedInWindows) {
  const std::string text = std::string(20'000, 'a') + "é" + std::string(20'000, 'a') + "b";
  EXPECT_THAT(pieces("b", text), ElementsAre(text.substr(0, text.size() - 1), "[b]"));
  EXPECT_EQ(pieces("é", text).size(), 3u);
  EXPECT_EQ(pieces("(?:a|é|b)*", text).front(), "[" + text + "]");
}

TEST(Regex, InvalidPatternsAreBadFiles) {
  for (const char* pattern : {"(a", "a)", "*a", "[b-a]", "\\p{Nothing}"}) {
    EXPECT_EQ(testing::category_of([&] { Regex::compile(pattern, "t.json", "p"); }),
              ErrorCategory::kBadFile);
  }
  EXPECT_EQ(testing::category_of([&] { Regex::compile(std::string(100'000, 'a'), "t.json", "p"); }),
            ErrorCategory::kBadFile);
}

TEST(Regex, ExponentialBacktrackingExceedsTheBudget) {
  const std::string text = std::string(1'000'000, 'a') + "!";
  const auto error =
      testing::error_of([&] { Regex::compile("(a+)+$", "t.json", "p").split(text); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error->what(), ::testing::HasSubstr("budget"));
}

}  // namespace
}  // namespace octavo

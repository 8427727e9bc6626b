// What is rewritten for PCRE2, and what is refused by name.
// SPDX-License-Identifier: Apache-2.0
#include "text/regex_syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "text/text_testing.h"

namespace octavo {
namespace {

std::string rewrite(std::string_view pattern) {
  return to_pcre2_syntax(pattern, "t.json", "pattern");
}

TEST(RegexSyntax, EqualConstructsPass) {
  for (const char* pattern : {"a|b+?c*+", "(?i:x)(?:y)(z)(?=a)(?!b)(?<=c)(?<!d)(?>e)", "[^a-z\\]é]",
                              "x{2}y{2,}z{2,3}?", "^a$", "\\.\\n\\t\\A\\z", "\\p{L}\\P{Lu}"}) {
    EXPECT_EQ(rewrite(pattern), pattern);
  }
}

TEST(RegexSyntax, OthersAreRewritten) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\\p{Han}", "\\p{sc:Han}"},  {"\\p{^L}", "\\P{L}"}, {"\\P{^Han}", "\\p{sc:Han}"},
      {"\\d\\D", "\\p{Nd}\\P{Nd}"}, {"\\v", "\\x0b"},      {"\\u00e9", "\\x{00e9}"},
      {"\\x41", "\\x{41}"},         {"a{,3}", "a{0,3}"},   {"a{b}", "a\\{b}"},
      {"\\S", "\\P{White_Space}"},  {"\\é", "é"}};
  for (const auto& [pattern, expected] : cases) EXPECT_EQ(rewrite(pattern), expected);
}

TEST(RegexSyntax, UnknownConstructsAreRefusedByName) {
  for (const char* pattern :
       {"\\h",     "\\R",         "\\X",     "\\K",     "\\G",     "\\1",
        "(?i)a",   "(?m:a)",      "(?<n>a)", "(?#c)",   "(*FAIL)", "[a[b]]",
        "[a&&b]",  "[[:alpha:]]", "[]a]",    "[\\W]",   "[\\b]",   "a{2}+",
        "a{2,3}+", "a{2}?",       "\\pL",    "\\p{L1}", "\\xZZ",   "\\x{1234567}"}) {
    const auto error = testing::error_of([&] { rewrite(pattern); });
    ASSERT_TRUE(error.has_value()) << pattern;
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported) << pattern;
    EXPECT_THAT(error->what(), ::testing::StartsWith("t.json: pattern: "));
  }
}

TEST(RegexSyntax, APatternCutShortIsABadFile) {
  for (const char* pattern : {"[a", "[^", "\\", "[\\", "\\p{L", "\\u00", "\\x{4"}) {
    EXPECT_EQ(testing::category_of([&] { rewrite(pattern); }), ErrorCategory::kBadFile) << pattern;
  }
}

}  // namespace
}  // namespace octavo

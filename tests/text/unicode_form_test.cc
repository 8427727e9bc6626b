// Normalization forms: known texts, stability, linear time.
// SPDX-License-Identifier: Apache-2.0
#include "text/unicode_form.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(UnicodeForm, KnownTexts) {
  EXPECT_EQ(to_unicode_form("plain", UnicodeForm::kNfkd), "plain");
  EXPECT_EQ(to_unicode_form("e\u0301", UnicodeForm::kNfc), "é");
  EXPECT_EQ(to_unicode_form("é", UnicodeForm::kNfd), "e\u0301");
  EXPECT_EQ(to_unicode_form("ﬁ①", UnicodeForm::kNfkc), "fi1");
  EXPECT_EQ(to_unicode_form("ﬁ①", UnicodeForm::kNfc), "ﬁ①");
  EXPECT_EQ(to_unicode_form("\u1112\u1161\u11AB", UnicodeForm::kNfc), "한");
  EXPECT_EQ(to_unicode_form("한", UnicodeForm::kNfkd), "\u1112\u1161\u11AB");
  // Marks are ordered by class; equal classes keep their order.
  EXPECT_EQ(to_unicode_form("a\u0315\u0300\u05AE\u0301b", UnicodeForm::kNfd),
            "a\u05AE\u0300\u0301\u0315b");
}

TEST(UnicodeForm, NewerCharactersPassUnchanged) {
  for (const char* text : {"a\u0898\u0334", "\u32FF", "\U00011935\U00011930", "\U0010FFFF\u0898"}) {
    EXPECT_EQ(to_unicode_form(text, UnicodeForm::kNfkc), text);
  }
  EXPECT_EQ(to_unicode_form("e\u0301\u0898e\u0301", UnicodeForm::kNfc), "é\u0898é");
}

TEST(UnicodeForm, ALongRunOfMarksTakesLinearTime) {
  std::string text = "a", sorted_marks;
  for (int i = 0; i < 500'000; ++i) text += "\u0301\u0323";
  const std::string ordered = to_unicode_form(text, UnicodeForm::kNfd);
  EXPECT_EQ(ordered.size(), text.size());
  EXPECT_EQ(ordered.substr(0, 5), "a\u0323\u0323");
  EXPECT_EQ(to_unicode_form(ordered, UnicodeForm::kNfd), ordered);
}

}  // namespace
}  // namespace octavo

// Errors carry category, file and field, and print hostile names safely.
// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <gtest/gtest.h>

#include <set>

namespace octavo {
namespace {

TEST(ErrorTest, MessageNamesFileAndField) {
  const Error error = bad_file("config.json", "hidden_size", "expected 1 or more, got 0");
  EXPECT_STREQ(error.what(), "config.json: hidden_size: expected 1 or more, got 0");
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_EQ(error.file(), "config.json");
  EXPECT_EQ(error.field(), "hidden_size");
  EXPECT_STREQ(unsupported("a", "", "no").what(), "a: no");
  EXPECT_STREQ(unsupported("", "b", "no").what(), "b: no");
  EXPECT_STREQ(unsupported("", "", "no").what(), "no");
}

TEST(ErrorTest, ExitCodesAreThePublishedOnes) {
  const std::vector<std::pair<ErrorCategory, int>> codes = {
      {ErrorCategory::kGateFailed, 1},  {ErrorCategory::kUsage, 2},
      {ErrorCategory::kBadFile, 3},     {ErrorCategory::kUnsupported, 4},
      {ErrorCategory::kEnvironment, 5}, {ErrorCategory::kOutOfMemory, 6},
      {ErrorCategory::kDevice, 7},      {ErrorCategory::kInternal, 70}};
  std::set<std::string_view> names;
  for (const auto& [category, code] : codes) {
    EXPECT_EQ(exit_code(category), code);
    EXPECT_TRUE(names.insert(to_string(category)).second);
  }
}

TEST(ErrorTest, ChecksThrowInternalErrors) {
  try {
    OCTAVO_CHECK(1 == 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInternal);
    EXPECT_NE(std::string_view(error.what()).find("1 == 2"), std::string_view::npos);
  }
}

TEST(PrintableTest, KeepsTextAndEscapesControls) {
  EXPECT_EQ(printable("plain text, größer, 漢字, 🙂"), "plain text, größer, 漢字, 🙂");
  EXPECT_EQ(printable("a\nb\tc"), "a\\x0ab\\x09c");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m")
      << "a C1 control";
  EXPECT_EQ(printable("a\u202Eb"), "a\\xe2\\x80\\xaeb") << "text direction";
  EXPECT_EQ(printable("a\u2066b\u200Fc"), "a\\xe2\\x81\\xa6b\\xe2\\x80\\x8fc");
  EXPECT_EQ(printable("a\u2028b"), "a\\xe2\\x80\\xa8b") << "a line separator";
}

TEST(PrintableTest, EscapesInvalidUtf8) {
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(printable("\xe0\x80\x80"), "\\xe0\\x80\\x80") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_EQ(printable("end\xe6\xbc"), "end\\xe6\\xbc") << "cut off";
}

TEST(PrintableTest, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable(std::string(300, 'a')), std::string(200, 'a') + "…");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("äöü", 3), "äö…");
}

}  // namespace
}  // namespace octavo

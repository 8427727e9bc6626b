// UTF-8 repair follows Python's errors="replace", in one piece or byte by byte.
// SPDX-License-Identifier: Apache-2.0
#include "text/unicode.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace octavo {
namespace {

// Inputs and the outputs of Python's bytes.decode("utf-8", errors="replace").
const std::vector<std::pair<std::string, std::string>> kRepairs = {
    {"plain é 漢 😀", "plain é 漢 😀"},
    {"\x80", "\uFFFD"},
    {"\xC0\x80", "\uFFFD\uFFFD"},
    {"\xE2\x82", "\uFFFD"},
    {"\xE2\x82z", "\uFFFDz"},
    {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
    {"\xF0\x9F\x98", "\uFFFD"},
    {"\xF0\x82\x82\xAC", "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\xF4\x8F\xBF\xBF", "\U0010FFFF"},
    {"\xE2\x82\xE2\x82\xAC", "\uFFFD€"},
    {"\xC3(", "\uFFFD("},
    {std::string("a\0b", 3), std::string("a\0b", 3)},
    {"\xEF\xBB\xBF", "\uFEFF"},
};

TEST(Unicode, InvalidSubpartsBecomeReplacementCharacters) {
  for (const auto& [bytes, expected] : kRepairs) {
    EXPECT_EQ(repair_utf8(bytes), expected);
    EXPECT_EQ(is_valid_utf8(bytes), bytes == expected);
  }
}

TEST(Unicode, RepairOfPiecesEqualsRepairOfTheWhole) {
  for (const auto& [bytes, expected] : kRepairs) {
    Utf8Repair repair;
    std::string out;
    for (const char byte : bytes) {
      repair.push(std::string(1, byte), out);
      EXPECT_TRUE(is_valid_utf8(out));
    }
    repair.finish(out);
    EXPECT_EQ(out, expected);
  }
}

TEST(Unicode, CharactersAreReadBothWays) {
  const std::string text = "aé漢😀";
  const std::vector<uint32_t> expected = {'a', 0xE9, 0x6F22, 0x1F600};
  size_t at = 0;
  std::string copy;
  for (const uint32_t value : expected) {
    const CodePoint c = decode_code_point(text, at);
    EXPECT_EQ(c.value, value);
    EXPECT_EQ(previous_boundary(text, at + c.bytes), at);
    append_code_point(c.value, copy);
    at += c.bytes;
  }
  EXPECT_EQ(copy, text);
}

TEST(Unicode, ClassesOfCharacters) {
  for (const uint32_t c : {0x20, 0x09, 0x0D, 0x85, 0xA0, 0x2003, 0x3000})
    EXPECT_TRUE(is_white_space(c)) << c;
  for (const uint32_t c : {0x41, 0x1C, 0x180E, 0x200B, 0xFEFF})
    EXPECT_FALSE(is_white_space(c)) << c;
  for (const uint32_t c : {0x30, 0x664, 0xBD, 0x2167, 0x11DE0}) EXPECT_TRUE(is_numeric(c)) << c;
  for (const uint32_t c : {0x41, 0x2E, 0x4E00}) EXPECT_FALSE(is_numeric(c)) << c;
  for (const uint32_t c : {0x41, 0x5F, 0x301, 0x4E00, 0x200D, 0x24B6, 0x1E030})
    EXPECT_TRUE(is_word(c)) << c;
  for (const uint32_t c : {0x20, 0x2D, 0x1F600, 0xBD}) EXPECT_FALSE(is_word(c)) << c;
}

}  // namespace
}  // namespace octavo

// Stand-ins keep the length of a text, and old characters are their own.
// SPDX-License-Identifier: Apache-2.0
#include "text/newer_unicode.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(NewerUnicode, OnlyNewerCharactersHaveStandIns) {
  EXPECT_EQ(with_stand_ins("old: é 漢 😀"), std::nullopt);
  const std::string text = "x\U0001E030\u1C89\U00031350y";
  const auto replaced = with_stand_ins(text);
  ASSERT_TRUE(replaced.has_value());
  EXPECT_EQ(replaced->size(), text.size());
  EXPECT_EQ(*replaced, "x\U00010780\u1E00\U00020000y");
}

TEST(NewerUnicode, StandInsStayTheSame) {
  for (uint32_t c = 0; c < 0x110000; ++c) EXPECT_EQ(stand_in(stand_in(c)), stand_in(c));
}

TEST(NewerUnicode, NormalizersOfUnicodeNine) {
  EXPECT_TRUE(is_unknown_to_normalizer(0x898));
  EXPECT_TRUE(is_unknown_to_normalizer(0x1FBF9));
  for (const uint32_t c : {0x41, 0x300, 0x897 - 1, 0xAC00, 0x1FBFA})
    EXPECT_FALSE(is_unknown_to_normalizer(c));
}

}  // namespace
}  // namespace octavo

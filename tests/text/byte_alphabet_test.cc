// Each byte has its own printable character, and back.
// SPDX-License-Identifier: Apache-2.0
#include "text/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

#include "text/unicode.h"

namespace octavo {
namespace {

TEST(ByteAlphabet, AllBytesComeBack) {
  std::set<std::string> characters;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = bytes_to_alphabet(std::string(1, static_cast<char>(byte)));
    const CodePoint c = decode_code_point(character, 0);
    EXPECT_EQ(c.bytes, character.size());
    EXPECT_EQ(alphabet_to_byte(c.value), byte);
    characters.insert(character);
  }
  EXPECT_EQ(characters.size(), 256u);
}

TEST(ByteAlphabet, KnownCharacters) {
  EXPECT_EQ(bytes_to_alphabet(" a\n~\xAD\xA1"), "ĠaĊ~Ń¡");
  EXPECT_EQ(alphabet_to_byte(0x144), std::nullopt);
  EXPECT_EQ(alphabet_to_byte(' '), std::nullopt);
}

}  // namespace
}  // namespace octavo

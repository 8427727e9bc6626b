// UTF-8 and the few character classes that tokenizing needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace octavo {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// One character of valid UTF-8.
struct CodePoint {
  uint32_t value;
  size_t bytes;
};

// The character that starts at `at`; `text` is valid UTF-8 and `at` lies inside it, on a boundary.
CodePoint decode_code_point(std::string_view text, size_t at);
// The start of the character that ends at `end` > 0.
size_t previous_boundary(std::string_view text, size_t end);
void append_code_point(uint32_t value, std::string& out);

// Turns bytes that arrive in pieces into valid UTF-8. Each maximal invalid subpart becomes one
// U+FFFD, which is what Python's errors="replace" and the WHATWG decoder do.
class Utf8Repair {
 public:
  void push(std::string_view bytes, std::string& out);
  void finish(std::string& out);  // an incomplete character becomes U+FFFD

 private:
  void start(unsigned char byte, std::string& out);

  std::string pending_;                           // a valid beginning of a character
  size_t needed_ = 0;                             // bytes still missing
  unsigned char lowest_ = 0x80, highest_ = 0xBF;  // range of the next byte
};

bool is_valid_utf8(std::string_view bytes);
std::string repair_utf8(std::string_view bytes);

bool is_white_space(uint32_t code_point);  // Unicode White_Space
bool is_numeric(uint32_t code_point);      // general categories Nd, Nl, No
bool is_word(uint32_t code_point);         // alphabetic, mark, decimal digit, connector, ZWJ, ZWNJ

}  // namespace octavo

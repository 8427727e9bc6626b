// The byte-level alphabet as two tables.
// SPDX-License-Identifier: Apache-2.0
#include "text/byte_alphabet.h"

#include <array>

namespace octavo {
namespace {

struct Tables {
  std::array<uint16_t, 256> to_code_point{};
  std::array<int16_t, 0x144> to_byte{};  // -1 where no byte maps
};

constexpr Tables kTables = [] {
  Tables tables;
  tables.to_byte.fill(-1);
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const uint16_t code_point = printable ? static_cast<uint16_t>(byte) : next++;
    tables.to_code_point[byte] = code_point;
    tables.to_byte[code_point] = static_cast<int16_t>(byte);
  }
  return tables;
}();

}  // namespace

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) {
    const uint16_t code_point = kTables.to_code_point[static_cast<unsigned char>(c)];
    if (code_point < 0x80) {
      out += static_cast<char>(code_point);
    } else {  // below U+0800: two bytes
      out += static_cast<char>(0xC0 | code_point >> 6);
      out += static_cast<char>(0x80 | (code_point & 0x3F));
    }
  }
  return out;
}

std::optional<uint8_t> alphabet_to_byte(uint32_t code_point) {
  if (code_point >= kTables.to_byte.size() || kTables.to_byte[code_point] < 0) return std::nullopt;
  return static_cast<uint8_t>(kTables.to_byte[code_point]);
}

}  // namespace octavo

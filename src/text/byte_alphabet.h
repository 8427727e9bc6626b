// The byte-level alphabet: a printable character for each of the 256 bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octavo {

// Printable Latin-1 bytes stand for themselves; the other 68 are U+0100, U+0101, … in byte order.
std::string bytes_to_alphabet(std::string_view bytes);
std::optional<uint8_t> alphabet_to_byte(uint32_t code_point);

}  // namespace octavo

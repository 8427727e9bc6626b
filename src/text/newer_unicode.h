// Reconciles the Unicode versions of the reference tokenizer and of the libraries used here.
// SPDX-License-Identifier: Apache-2.0
//
// The reference tokenizer classes characters by Unicode 16; Debian 12's PCRE2 knows 14 and
// utf8proc 15. A newer character is classed as an older one, its stand-in, of the same general
// category and UTF-8 length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octavo {

uint32_t stand_in(uint32_t code_point);  // itself where it is not newer
// The text with stand-ins, byte for byte as long; nothing where no character is newer.
std::optional<std::string> with_stand_ins(std::string_view valid_utf8);

// True for characters that the reference's normalizers leave alone, as they know Unicode 9 only,
// though newer tables decompose them, compose them or move them as marks.
bool is_unknown_to_normalizer(uint32_t code_point);

}  // namespace octavo

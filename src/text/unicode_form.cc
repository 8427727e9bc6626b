// Decomposition and composition by utf8proc's tables; the ordering of marks is ours.
// SPDX-License-Identifier: Apache-2.0
#include "text/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "text/newer_unicode.h"
#include "text/unicode.h"

namespace octavo {
namespace {

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Stands for a character that is to pass unchanged; a noncharacter without any properties.
constexpr utf8proc_int32_t kUntouched = 0x10FFFF;

struct Decomposed {
  std::vector<utf8proc_int32_t> characters;
  std::vector<uint32_t> untouched;  // what the places of kUntouched hold, in order
};

Decomposed decompose(std::string_view text, int options) {
  Decomposed out;
  out.characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_code_point(text, at);
    at += c.bytes;
    if (c.value == kUntouched || is_unknown_to_normalizer(c.value)) {
      out.characters.push_back(kUntouched);
      out.untouched.push_back(c.value);
      continue;
    }
    utf8proc_int32_t parts[32];  // the longest compatibility decomposition has 18
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts, 32,
                                               static_cast<utf8proc_option_t>(options), &boundary);
    out.characters.insert(out.characters.end(), parts,
                          parts + std::clamp<utf8proc_ssize_t>(count, 0, 32));
  }
  return out;
}

// Stable sort of each run of marks by class. utf8proc's own ordering swaps neighbours, which takes
// quadratic time on a long run.
void order_marks(std::vector<utf8proc_int32_t>& text) {
  for (auto run = text.begin(); run != text.end();) {
    run = std::find_if(run, text.end(), [](auto c) { return combining_class(c) != 0; });
    const auto end = std::find_if(run, text.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(run, end,
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    run = end;
  }
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::string to_unicode_form(std::string_view text, UnicodeForm form) {
  if (is_ascii(text)) return std::string(text);
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  auto [characters, untouched] = decompose(text, options);
  order_marks(characters);
  if (compose) {
    const int how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    const auto count = utf8proc_normalize_utf32(characters.data(), std::ssize(characters),
                                                static_cast<utf8proc_option_t>(how));
    characters.resize(static_cast<size_t>(std::max<utf8proc_ssize_t>(count, 0)));
  }
  std::string out;
  out.reserve(text.size());
  auto next_untouched = untouched.begin();
  for (const utf8proc_int32_t c : characters) {
    append_code_point(c == kUntouched ? *next_untouched++ : static_cast<uint32_t>(c), out);
  }
  return out;
}

}  // namespace octavo

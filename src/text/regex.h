// Regular expressions over valid UTF-8, by PCRE2, with a budget that no pattern can exceed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace octavo {

struct TextRange {
  size_t begin, end;
  bool is_match;
};

// Immutable and safe to share between threads.
class Regex {
 public:
  // `pattern` in Oniguruma's syntax (regex_syntax.h). Error(kBadFile) where it is not valid.
  static Regex compile(std::string_view pattern, std::string_view file, std::string_view field);
  // Matches exactly `text`; an empty text matches between all characters.
  static Regex literal(std::string_view text, std::string_view file = "",
                       std::string_view field = "");

  // Cuts `text` into matches and what lies between them, in order and without gaps. Matches may be
  // empty. Error(kBadFile) when the pattern backtracks beyond its budget.
  std::vector<TextRange> split(std::string_view text) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace octavo

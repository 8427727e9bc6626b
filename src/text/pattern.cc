// Reading and replacing patterns.
// SPDX-License-Identifier: Apache-2.0
#include "text/pattern.h"

#include <algorithm>
#include <vector>

namespace octavo {
namespace {

std::string replace_ranges(const std::vector<TextRange>& ranges, std::string_view text,
                           std::string_view content) {
  std::string out;
  for (const TextRange& range : ranges) {
    out += range.is_match ? content : text.substr(range.begin, range.end - range.begin);
  }
  return out;
}

}  // namespace

Regex read_pattern(const JsonField& field) {
  const JsonObject object = field.as_object();
  if (const auto text = object.optional("String")) {
    return Regex::literal(text->as_string(), field.file(), field.path());
  }
  if (const auto expression = object.optional("Regex")) {
    return Regex::compile(expression->as_string(), field.file(), field.path());
  }
  throw field.mismatch("an object with the key \"String\" or \"Regex\"");
}

std::string replace_matches(const Regex& pattern, std::string_view text, std::string_view content) {
  return replace_ranges(pattern.split(text), text, content);
}

Replacement Replacement::read(const JsonObject& object) {
  return Replacement(read_pattern(object.required("pattern")), object.required_string("content"),
                     GrowthGuard{object.file(), object.path()});
}

std::string Replacement::apply(std::string_view text) const {
  const auto ranges = pattern_.split(text);
  const auto matches = std::ranges::count_if(ranges, &TextRange::is_match);
  // Matches that are replaced give their own bytes up; the bound need not count them.
  guard_.check(text.size(), static_cast<size_t>(matches) * content_.size());
  return replace_ranges(ranges, text, content_);
}

}  // namespace octavo

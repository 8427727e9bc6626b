// Reads the words of a tactic, as "lead 1 fill 2".
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/tactic_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace octavo::cuda {

bool TacticWords::next() {
  if (rest_.empty()) return false;
  const size_t length = std::min(rest_.find(' '), rest_.size());
  word_ = rest_.substr(0, length);
  if (length == 0 || length + 1 == rest_.size()) fail("words are apart by single spaces");
  rest_.remove_prefix(std::min(length + 1, rest_.size()));
  return true;
}

int TacticWords::number(int least, int most) {
  const std::string_view name = word_;
  int value = 0;
  const bool more = next();
  const char* const end = word_.data() + word_.size();
  const auto [at, error] = std::from_chars(word_.data(), end, value);
  if (!more || error != std::errc() || at != end || value < least || value > most)
    fail(fmt::format("\"{}\" wants a number from {} to {}", name, least, most));
  return value;
}

void TacticWords::fail(std::string_view why) const {
  throw Error(ErrorCategory::kUsage, fmt::format("tactic \"{}\": {}", printable(tactic_), why));
}

}  // namespace octavo::cuda

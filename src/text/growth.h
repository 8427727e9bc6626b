// Bounds what a hostile tokenizer.json can make of a text by repeated replacement.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace octavo {

// A text may become 64 times as long, and a short one a little longer. (NFKD makes 11 bytes of
// one.)
constexpr size_t max_grown_bytes(size_t bytes) { return 64 * bytes + 4096; }

// Where a step stands in the file, and the error that it raises beyond the bound.
struct GrowthGuard {
  std::string file, field;
  // Error(kBadFile) when `after` is too long for a text that had `before` bytes.
  void check(size_t before, size_t after) const;
};

}  // namespace octavo

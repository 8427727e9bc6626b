// How a pre-tokenizer cuts a text at the matches of a pattern.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "text/regex.h"

namespace octavo {

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// The pieces, in order; what is removed is left out. `is_match` of the result has no meaning.
std::vector<TextRange> cut(std::vector<TextRange> ranges, SplitBehavior behavior);

}  // namespace octavo

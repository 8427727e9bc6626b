// The five behaviours of a split.
// SPDX-License-Identifier: Apache-2.0
#include "text/split.h"

#include <algorithm>

namespace octavo {
namespace {

// A match joins the piece before it, unless that piece is a match itself.
std::vector<TextRange> merge_with_previous(const std::vector<TextRange>& ranges) {
  std::vector<TextRange> out;
  bool previous_is_match = false;
  for (const TextRange& range : ranges) {
    if (range.is_match && !previous_is_match && !out.empty()) {
      out.back().end = range.end;
    } else {
      out.push_back(range);
    }
    previous_is_match = range.is_match;
  }
  return out;
}

std::vector<TextRange> merge_with_next(const std::vector<TextRange>& ranges) {
  std::vector<TextRange> out;
  bool next_is_match = false;
  for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
    if (range->is_match && !next_is_match && !out.empty()) {
      out.back().begin = range->begin;
    } else {
      out.push_back(*range);
    }
    next_is_match = range->is_match;
  }
  std::ranges::reverse(out);
  return out;
}

std::vector<TextRange> merge_equals(const std::vector<TextRange>& ranges) {
  std::vector<TextRange> out;
  for (const TextRange& range : ranges) {
    if (!out.empty() && out.back().is_match == range.is_match) {
      out.back().end = range.end;
    } else {
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

std::vector<TextRange> cut(std::vector<TextRange> ranges, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      std::erase_if(ranges, [](const TextRange& range) { return range.is_match; });
      return ranges;
    case SplitBehavior::kIsolated:
      return ranges;
    case SplitBehavior::kMergedWithPrevious:
      return merge_with_previous(ranges);
    case SplitBehavior::kMergedWithNext:
      return merge_with_next(ranges);
    case SplitBehavior::kContiguous:
      return merge_equals(ranges);
  }
  return ranges;
}

}  // namespace octavo

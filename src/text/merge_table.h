// The merges of a BPE model: pair of token ids → rank and result, in one flat table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octavo {

struct Merge {
  uint32_t rank;  // position in the list: lower merges first
  int32_t result;
};

class MergeTable {
 public:
  explicit MergeTable(size_t merges);
  // A pair that occurs twice keeps its last rank, as in the reference tokenizer.
  void set(int32_t left, int32_t right, Merge merge);
  const Merge* find(int32_t left, int32_t right) const;  // null where there is none

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};  // no pair: ids are not negative
  struct Slot {
    uint64_t pair = kEmpty;
    Merge merge{};
  };
  size_t slot_of(uint64_t pair) const;

  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
};

}  // namespace octavo

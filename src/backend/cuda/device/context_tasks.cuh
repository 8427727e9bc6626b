// Tiles of query rows over sequences of unequal length, found on the device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// Rows of sequences that have `least` to `most` of them, cut into tiles of kRows of one sequence.
// A tile's rank is by its last key, late tiles first, so that whoever takes ranks in order ends
// with the least work. Every function is one warp's work with the same result in all its lanes.
template <int kRows>
class RowTiles {
 public:
  struct Tile {
    int sequence;
    int first_row;  // of the sequence's queries
  };

  __device__ RowTiles(const int32_t* query_length, const int32_t* kv_length, int sequences,
                      int least, int most)
      : query_length_(query_length),
        kv_length_(kv_length),
        sequences_(sequences),
        least_(least),
        most_(most),
        own_(read(threadIdx.x % 32)) {}

  // Tiles of at least this depth.
  __device__ int count(int depth = 0) const {
    int tiles = 0;
    for (int base = 0; base < sequences_; base += 32) {
      const Depths depths = depths_of(base);
      tiles += max(depths.end - max(depths.first, depth), 0);
    }
    return static_cast<int>(__reduce_add_sync(0xFFFFFFFFu, tiles));
  }

  // rank < count().
  __device__ Tile find(int rank) const {
    int low = 0;  // count(low) > rank >= count(high)
    int high = 16;
    while (count(high) > rank) low = high, high *= 2;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (count(middle) > rank ? low : high) = middle;
    }
    rank -= count(high);
    for (int base = 0;; base += 32) {
      const Depths depths = depths_of(base);
      const unsigned here = __ballot_sync(0xFFFFFFFFu, depths.first <= low && low < depths.end);
      if (rank >= __popc(here)) {
        rank -= __popc(here);
        continue;
      }
      const int owner = __fns(here, 0, rank + 1);
      return {base + owner, (low - __shfl_sync(0xFFFFFFFFu, depths.first, owner)) * kRows};
    }
  }

 private:
  // Keys before a tile, in units of kRows: one more from a sequence's tile to the next.
  struct Depths {
    int first, end;
  };

  __device__ Depths depths_of(int base) const {
    return base == 0 ? own_ : read(base + static_cast<int>(threadIdx.x % 32));
  }
  __device__ Depths read(int sequence) const {
    if (sequence >= sequences_) return {0, 0};
    const int queries = query_length_[sequence];
    const int length = kv_length_[sequence];
    if (queries < least_ || queries > most_) return {0, 0};
    const int first = (length - queries) / kRows;
    return {first, first + (queries + kRows - 1) / kRows};
  }

  const int32_t* query_length_;
  const int32_t* kv_length_;
  int sequences_, least_, most_;
  Depths own_;  // of the lane's sequence among the first 32
};

// Calls zero(row) by a whole warp for every row of `tokens` that no sequence owns; `warp` of
// `warps` over the whole grid.
template <typename Zero>
__device__ void for_unowned_rows(const int32_t* query_start, const int32_t* query_length,
                                 int sequences, int64_t tokens, int warp, int warps, Zero zero) {
  const int lane = threadIdx.x % 32;
  int owned = 0;  // rows of sequences never overlap
  for (int s = lane; s < sequences; s += 32) owned += query_length[s];
  if (__reduce_add_sync(0xFFFFFFFFu, owned) == tokens) return;
  for (int64_t row = warp; row < tokens; row += warps) {
    bool mine = false;
    for (int s = lane; s < sequences; s += 32)
      mine |= row >= query_start[s] && row < query_start[s] + query_length[s];
    if (!__any_sync(0xFFFFFFFFu, mine)) zero(row);
  }
}

}  // namespace octavo::device

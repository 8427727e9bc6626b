// Keys of one row in the shared memory of a cluster: searches for the largest, and for a sum.
// SPDX-License-Identifier: Apache-2.0
//
// A row is cut into a slice a CTA, a slice into a range a warp, and a range into blocks of 128
// keys, four a lane: the order of positions is CTA, warp, block, lane. Keys order like what they
// stand for; those of weights, which are from 0 to 1, are the floats' bits. Sums are of floats
// within four keys, as exact as the weights themselves, and of doubles from there on.
#pragma once

#include "backend/cuda/device/passing.cuh"
#include "backend/cuda/device/reduce/cluster.cuh"

namespace octavo::device {

// The number and the sum of weights.
struct Tally {
  double sum = 0;
  uint32_t count = 0;
  uint32_t padding = 0;
  __device__ void merge(const Tally& other) {
    sum += other.sum;
    count += other.count;
  }
};

class ClusterKeys {
 public:
  static constexpr int kThreads = 384;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kBlock = 128;              // keys that a warp looks at together
  static constexpr int kGrain = kWarps * kBlock;  // of a slice
  static constexpr int kMaxSlice = 64 * kGrain;
  static constexpr uint32_t kLargestWeight = 0x3F800000u;  // 1.0f
  // A search ends by sorting when so few keys are left: four threads a key.
  static constexpr uint32_t kMaxSorted = kThreads / 4;
  static constexpr int kSortedPerLane = kMaxSorted / 32;

  struct Shared {
    Exchange<kWarps> exchange;
    // Keys that the CTAs send each other: as they lay, then in descending order.
    uint32_t found[kMaxSorted];
    uint32_t sorted[kMaxSorted];
  };

  // A search for the smallest key to be kept, which lies in [low, high).
  struct Search {
    uint32_t low;
    uint32_t high;
    uint32_t step;   // down from the top, doubled until a key that is kept was found
    uint32_t count;  // keys from `low` on, or more
    Tally above;     // keys from `high` on
    bool found = false;

    __device__ uint32_t unsure() const { return count - above.count; }
    __device__ bool done() const { return high - low <= 1 || unsure() <= kMaxSorted; }
    __device__ uint32_t middle() {
      if (found || (high - low) / 2 <= step) return low + (high - low) / 2;
      const uint32_t key = high - step;
      step *= 2;
      return key;
    }
    __device__ void narrow(bool kept, uint32_t key, const Tally& from_key) {
      if (kept) {
        low = key;
        count = from_key.count;
        found = true;
      } else {
        high = key;
        above = from_key;
      }
    }
  };

  // `keys` are this CTA's slice, of `slice` keys.
  __device__ ClusterKeys(Shared& shared, uint32_t* keys, int32_t slice)
      : cluster(shared.exchange),
        slice_keys(keys),
        first_position(static_cast<int32_t>(cluster.rank) * slice),
        range(slice / kWarps),
        exchanged_(shared),
        keys_(keys + warp() * range + lane() * 4) {}

  Cluster<kWarps> cluster;
  uint32_t* const slice_keys;
  const int32_t first_position;  // of the slice
  const int32_t range;           // keys of a warp

  __device__ static uint32_t lane() { return threadIdx.x % 32; }
  __device__ static uint32_t warp() { return threadIdx.x / 32; }
  // The position of this lane's first key of a block.
  __device__ int32_t position_at(int32_t block) const {
    return first_position + static_cast<int32_t>(warp()) * range + block +
           static_cast<int32_t>(lane()) * 4;
  }
  __device__ uint4& block_at(int32_t block) const {
    return *reinterpret_cast<uint4*>(keys_ + block);
  }

  // Calls visit(key) for every key of this thread.
  template <typename Visit>
  __device__ __forceinline__ void for_each(const Visit& visit) const {
#pragma unroll 4
    for (int32_t block = 0; block < range; block += kBlock) {
      uint4 four = block_at(block);
      visit(four.x);
      visit(four.y);
      visit(four.z);
      visit(four.w);
    }
  }

  // The sum and number of the weights from `floor` on.
  __device__ Tally tally(uint32_t floor) {
    Tally mine;
#pragma unroll 4
    for (int32_t block = 0; block < range; block += kBlock) {
      const uint4 four = block_at(block);
      const auto weight = [&](uint32_t key) {
        const bool kept = key >= floor;
        mine.count += kept ? 1 : 0;
        return kept ? __uint_as_float(key) : 0.0f;
      };
      const float sum = (weight(four.x) + weight(four.y)) + (weight(four.z) + weight(four.w));
      if (sum > 0) mine.sum += double{sum};
    }
    return cluster.merge(mine);
  }

  // Leaves the `wanted` largest keys, ties to the earlier: the others are below what is
  // returned, or zero. The search counts at least as many.
  __device__ uint32_t keep_count(int32_t wanted_keys, Search search) {
    const auto wanted = static_cast<uint32_t>(wanted_keys);
    while (!search.done() && search.count != wanted) {
      const uint32_t key = search.middle();
      const uint32_t count = count_from(key);
      search.narrow(count >= wanted, key, {0, count});
    }
    if (search.count == wanted) return search.low;
    if (search.unsure() <= kMaxSorted) {
      const uint32_t count = sort_unsure(search);
      return cut_after(wanted - search.above.count - 1, count);
    }
    keep_ties(search.low, wanted - search.above.count);
    return search.low;
  }

  // Leaves the largest weights that reach `share` of all from `floor` on, as keep_count does.
  __device__ uint32_t keep_sum(double share, const Tally& all, uint32_t floor) {
    const double target = share * all.sum;
    // What lies below this sums to at most half of what may be left out.
    const double negligible = (1 - share) * all.sum / (2.0 * all.count);
    constexpr uint32_t kTwoOctaves = 2u << 23;
    Search search = {max(floor, __float_as_uint(static_cast<float>(negligible))),
                     kLargestWeight + 1, kTwoOctaves, all.count};
    while (!search.done()) {
      const uint32_t key = search.middle();
      const Tally from_key = tally(key);
      search.narrow(from_key.sum >= target, key, from_key);
    }
    if (search.unsure() <= kMaxSorted) {
      const uint32_t count = sort_unsure(search);
      return cut_after(last_to_reach(target - search.above.sum), count);
    }
    const double missing = (target - search.above.sum) / double{__uint_as_float(search.low)};
    keep_ties(search.low, static_cast<uint32_t>(fmin(fmax(ceil(missing), 1.0), 0x1p31)));
    return search.low;
  }

  // After a tally of the same floor: the position at which the sum of the weights passes `target`,
  // to all lanes of the warp that has it; -1 to others. Rounding can leave the target just above a
  // sum: then it is the last position in it from `floor` on.
  __device__ int32_t find(double target, uint32_t floor) const {
    Tally parts[Exchange<kWarps>::kPerLane];
    cluster.read(parts);
    double sums[Exchange<kWarps>::kPerLane];
    for (int i = 0; i < Exchange<kWarps>::kPerLane; ++i) sums[i] = parts[i].sum;
    const Passing of_warp = first_passing(sums, [&](double sum) { return sum > target; });
    if (of_warp.index != cluster.warp()) return -1;
    target -= of_warp.before;

    const int32_t blocks = range / kBlock;
    const int32_t per_lane = blocks <= 32 ? 1 : 2;
    double in_blocks[2] = {};
#pragma unroll
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t block = static_cast<int32_t>(lane()) * per_lane + i;
      if (i < per_lane && block < blocks) in_blocks[i] = sum_of_block(block * kBlock, floor);
    }
    const Passing of_block = first_passing(in_blocks, [&](double sum) { return sum > target; });
    const auto index = static_cast<int32_t>(of_block.index);
    const int32_t block = (index / 2 * per_lane + index % 2) * kBlock;
    target -= of_block.before;

    const uint4 four = block_at(block);
    const auto weight = [&](uint32_t key) {
      return key >= floor ? double{__uint_as_float(key)} : 0.0;
    };
    const double weights[4] = {weight(four.x), weight(four.y), weight(four.z), weight(four.w)};
    const Passing of_key = first_passing(weights, [&](double sum) { return sum > target; });
    return position_at(block) + static_cast<int32_t>(of_key.index - lane() * 4);
  }

  // After counting: this thread's place among all, in the order of CTAs, warps and lanes.
  __device__ uint32_t place_of_first(uint32_t mine) const {
    uint32_t through = mine;
#pragma unroll
    for (uint32_t lanes = 1; lanes < 32; lanes *= 2) {
      const uint32_t other = __shfl_up_sync(kAllLanes, through, lanes);
      if (lane() >= lanes) through += other;
    }
    return cluster.count_before() + through - mine;
  }

 private:
  __device__ uint32_t count_from(uint32_t key) {
    Count mine;
    for_each([&](uint32_t other) { mine.count += other >= key ? 1 : 0; });
    return cluster.merge(mine).count;
  }

  // Every CTA gets all keys of [low, high), in descending order, and zeroes after them; returns
  // their number.
  __device__ uint32_t sort_unsure(const Search& search) {
    static_assert(4 * kMaxSorted == kThreads);
    const auto unsure = [&](uint32_t key) { return key >= search.low && key < search.high; };
    Count mine;
    for_each([&](uint32_t key) { mine.count += unsure(key) ? 1 : 0; });
    const uint32_t count = cluster.merge(mine).count;
    uint32_t* to = exchanged_.found + place_of_first(mine.count);
    cluster.begin_round(count * sizeof(uint32_t));
    if (mine.count > 0) {
      for_each([&](uint32_t key) {
        if (!unsure(key)) return;
        for (uint32_t peer = 0; peer < cluster.size; ++peer) cluster.send(to, peer, key);
        ++to;
      });
    }
    cluster.end_round();
    // A key's place is the number of keys before it.
    const auto key_at = [&](uint32_t i) { return i < count ? exchanged_.found[i] : 0; };
    const uint32_t at = threadIdx.x / 4;
    const uint32_t own = key_at(at);
    uint32_t place = 0;
    for (uint32_t i = threadIdx.x % 4; i < kMaxSorted; i += 4) {
      const uint32_t other = key_at(i);
      place += other > own || (other == own && i < at) ? 1 : 0;
    }
    place += __shfl_xor_sync(kAllLanes, place, 1);
    place += __shfl_xor_sync(kAllLanes, place, 2);
    if (threadIdx.x % 4 == 0) exchanged_.sorted[place] = own;
    __syncthreads();
    return count;
  }

  // Of the sorted keys, as weights, the last that is needed to reach `missing`.
  __device__ uint32_t last_to_reach(double missing) const {
    double weights[kSortedPerLane];
    for (int i = 0; i < kSortedPerLane; ++i)
      weights[i] = __uint_as_float(exchanged_.sorted[lane() * kSortedPerLane + i]);
    return first_passing(weights, [&](double sum) { return sum >= missing; }).index;
  }

  // Leaves the sorted keys up to the one at `last` of `count`; returns that.
  __device__ uint32_t cut_after(uint32_t last, uint32_t count) {
    const uint32_t key = exchanged_.sorted[min(last, count - 1)];
    uint32_t larger = 0, equal = 0;
    for (int i = 0; i < kSortedPerLane; ++i) {
      const uint32_t other = exchanged_.sorted[lane() * kSortedPerLane + i];
      larger += other > key ? 1 : 0;
      equal += other == key ? 1 : 0;
    }
    larger = __reduce_add_sync(kAllLanes, larger);
    equal = __reduce_add_sync(kAllLanes, equal);
    if (last + 1 < larger + equal) keep_ties(key, last + 1 - larger);
    return key;
  }

  // Of the keys equal to `key` zeroes all but the first `kept`.
  __device__ void keep_ties(uint32_t key, uint32_t kept) {
    Count mine;
    for_each([&](uint32_t other) { mine.count += other == key ? 1 : 0; });
    if (cluster.merge(mine).count <= kept) return;
    uint32_t before = cluster.count_before();
    const uint32_t lower_lanes = (1u << lane()) - 1;
    for (int32_t block = 0; block < range; block += kBlock) {
      uint4& four = block_at(block);
      uint32_t rank = before;
      const auto of_lower_lanes = [&](uint32_t other) {
        const uint32_t ties = __ballot_sync(kAllLanes, other == key);
        rank += __popc(ties & lower_lanes);
        before += __popc(ties);
      };
      of_lower_lanes(four.x);
      of_lower_lanes(four.y);
      of_lower_lanes(four.z);
      of_lower_lanes(four.w);
      const auto keep = [&](uint32_t& other) {
        if (other == key && rank++ >= kept) other = 0;
      };
      keep(four.x);
      keep(four.y);
      keep(four.z);
      keep(four.w);
    }
  }

  // By one lane; each starts elsewhere, so that the lanes' blocks lie in different banks.
  __device__ double sum_of_block(int32_t block, uint32_t floor) const {
    const uint4* quads = reinterpret_cast<const uint4*>(keys_ - lane() * 4 + block);
    double sum = 0;
    for (uint32_t i = 0; i < kBlock / 4; ++i) {
      const uint4 four = quads[(i + lane()) % (kBlock / 4)];
      const auto weight = [&](uint32_t key) { return key >= floor ? __uint_as_float(key) : 0.0f; };
      sum += double{(weight(four.x) + weight(four.y)) + (weight(four.z) + weight(four.w))};
    }
    return sum;
  }

  Shared& exchanged_;
  uint32_t* keys_;  // of this lane in the first block of its warp
};

}  // namespace octavo::device

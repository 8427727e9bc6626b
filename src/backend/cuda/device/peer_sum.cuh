// Sums over ranks, 16 bytes of each at a time, in the order of ranks: the same bytes everywhere.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/peer.cuh"
#include "backend/cuda/device/vector.cuh"

namespace octavo::device {

// Begins with the first rank's term, so that −0 + −0 is −0, and is rounded once.
template <typename T, int kWidth = 16 / sizeof(T)>
struct RankSum {
  using Term = Vec<T, kWidth>;
  float values[kWidth];

  __device__ __forceinline__ void add(int rank, const Term& term) {
    float floats[kWidth];
    to_floats(floats, term);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = rank == 0 ? floats[i] : values[i] + floats[i];
  }
  __device__ __forceinline__ Term rounded_term() const { return round_all<T>(values); }
  __device__ __forceinline__ uint4 rounded() const {
    static_assert(sizeof(Term) == 16);
    const Term term = rounded_term();
    return *reinterpret_cast<const uint4*>(&term);
  }
};

// Item i of this rank to every peer's inbox.
__device__ __forceinline__ void push_item(const PeerLinks& links, const uint4& item, int64_t i,
                                          uint32_t call) {
  for (int peer = 0; peer < links.size; ++peer) {
    if (peer == links.index) continue;
    Packet* const to = inbox(links, peer, links.index, call) + 2 * i;
    put_packet(to, item.x, item.y, call);
    put_packet(to + 1, item.z, item.w, call);
  }
}

// The sum of item i over all ranks, of which this one's is `own`. False where a peer's did not
// come.
template <typename T>
__device__ __forceinline__ bool sum_items(const PeerLinks& links, const uint4& own, int64_t i,
                                          uint32_t call, RankSum<T>& sum) {
  for (int rank = 0; rank < links.size; ++rank) {
    uint4 item = own;
    if (rank != links.index) {
      const auto* from =
          reinterpret_cast<const uint4*>(inbox(links, links.index, rank, call) + 2 * i);
      uint4 low, high;
      const bool came = wait_for_peer(links, links.first_rank + rank, [&] {
        low = load_system(from);
        high = load_system(from + 1);
        return has_arrived(low, call) && has_arrived(high, call);
      });
      if (!came) return false;
      item = make_uint4(low.x, low.z, high.x, high.z);
    }
    sum.add(rank, *reinterpret_cast<const typename RankSum<T>::Term*>(&item));
  }
  return true;
}

}  // namespace octavo::device

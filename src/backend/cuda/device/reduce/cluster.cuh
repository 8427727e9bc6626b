// Reductions over all threads of a cluster, in a fixed order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/memory.cuh"

namespace octavo::device {

inline constexpr uint32_t kAllLanes = 0xFFFFFFFFu;
inline constexpr int kMaxCluster = 8;

// Writes whole words to a peer; seen there after the next cluster barrier.
template <typename T>
__device__ __forceinline__ void write_to_peer(T* own, uint32_t rank, const T& value) {
  static_assert(sizeof(T) % 4 == 0);
  const uint32_t peer = peer_address(shared_address(own), rank);
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
#pragma unroll
  for (uint32_t i = 0; i < sizeof(T) / 4; ++i) store_in_cluster(peer + 4 * i, words[i]);
}

__device__ __forceinline__ uint32_t add_in_peer(uint32_t* own, uint32_t rank, uint32_t value) {
  return add_in_cluster(peer_address(shared_address(own), rank), value);
}

template <typename T>
__device__ __forceinline__ T shuffle_xor(const T& value, int lanes) {
  static_assert(sizeof(T) % 4 == 0);
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
#pragma unroll
  for (uint32_t& word : words) word = __shfl_xor_sync(kAllLanes, word, lanes);
  T result;
  memcpy(&result, words, sizeof(T));
  return result;
}

// T{} is neutral to a.merge(b). Every lane gets the result.
template <typename T>
__device__ __forceinline__ T warp_merge(T value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value.merge(shuffle_xor(value, lanes));
  return value;
}

template <typename T, int kWarps>
struct ClusterParts {
  T warps[kWarps];
  T ctas[2][kMaxCluster];
};

// Where a thread's cluster is, and which half of the parts the next reduction writes: a CTA that
// is ahead must not overwrite what a slower one still reads.
struct ClusterPlace {
  uint32_t rank;
  uint32_t size;
  uint32_t half = 0;

  // The parts of the last reduction, by CTA.
  template <typename T, int kWarps>
  __device__ const T* last(const ClusterParts<T, kWarps>& parts) const {
    return parts.ctas[half ^ 1];
  }
};

// Every thread of the cluster gets the same bits. One block barrier, one cluster barrier.
template <typename T, int kWarps>
__device__ __forceinline__ T cluster_merge(T value, ClusterParts<T, kWarps>& parts,
                                           ClusterPlace& place) {
  static_assert(kWarps <= 32);
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t warp = threadIdx.x / 32;
  value = warp_merge(value);
  if (lane == 0) parts.warps[warp] = value;
  __syncthreads();
  if (warp == 0) {
    const T total = warp_merge(lane < kWarps ? parts.warps[lane] : T{});
    if (lane < place.size) write_to_peer(&parts.ctas[place.half][place.rank], lane, total);
  }
  cluster_sync();
  T total = parts.ctas[place.half][0];
  for (uint32_t i = 1; i < place.size; ++i) total.merge(parts.ctas[place.half][i]);
  place.half ^= 1;
  return total;
}

}  // namespace octavo::device

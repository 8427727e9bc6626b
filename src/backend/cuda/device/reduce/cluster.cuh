// Reductions over all threads of a cluster, in a fixed order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"

namespace octavo::device {

inline constexpr uint32_t kAllLanes = 0xFFFFFFFFu;
inline constexpr int kMaxCluster = 8;

// A value as words, to be moved.
template <typename T>
struct Words {
  static_assert(sizeof(T) % 4 == 0);
  static constexpr int kCount = sizeof(T) / 4;
  uint32_t values[kCount];
  __device__ explicit Words(const T& value) { memcpy(values, &value, sizeof(T)); }
};

template <typename T>
__device__ __forceinline__ T shuffle_xor(const T& value, int lanes) {
  Words<T> words(value);
#pragma unroll
  for (uint32_t& word : words.values) word = __shfl_xor_sync(kAllLanes, word, lanes);
  T result;
  memcpy(&result, words.values, sizeof(T));
  return result;
}

// T{} is neutral to a.merge(b). Every lane gets the result.
template <typename T>
__device__ __forceinline__ T warp_merge(T value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value.merge(shuffle_xor(value, lanes));
  return value;
}

struct Count {
  uint32_t count = 0;
  __device__ void merge(const Count& other) { count += other.count; }
};
__device__ __forceinline__ Count warp_merge(Count value) {
  return {__reduce_add_sync(kAllLanes, value.count)};
}

// Shared memory of the reductions. Each warp leaves its part, any type of up to 16 bytes, in the
// order of CTAs and warps.
template <int kWarps>
struct Exchange {
  static constexpr int kParts = kMaxCluster * kWarps;
  static constexpr int kPerLane = kParts / 32;
  static_assert(kParts % 32 == 0);
  uint4 parts[2][kParts];
  uint64_t barriers[2];
};

// The CTAs of a cluster talk in rounds: every warp sends to every CTA, without a barrier of the
// cluster, whose fences cost more than a pass over the data; each CTA waits for the bytes that it
// expects. Two rounds never mix, since a round is sent only after the one before it was received
// whole: buffers and barriers of two halves suffice.
template <int kWarps>
class Cluster {
 public:
  using Parts = Exchange<kWarps>;

  __device__ explicit Cluster(Parts& exchange)
      : rank(cluster_rank()), size(count_ctas()), exchange_(exchange) {}

  const uint32_t rank;
  const uint32_t size;

  // Every thread calls both before the first round; what lies between touches no peer.
  __device__ void start() {
    if (threadIdx.x == 0) {
      init_barrier(barrier_of(0), 1);
      init_barrier(barrier_of(1), 1);
      publish_barriers();
    }
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
  }
  __device__ void wait_for_start() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
  }

  __device__ uint32_t warp() const { return rank * kWarps + threadIdx.x / 32; }

  // Every thread of the cluster gets the same bits.
  template <typename T>
  __device__ __forceinline__ T merge(T value) {
    static_assert(sizeof(T) <= sizeof(uint4));
    value = warp_merge(value);
    begin_round(size * kWarps * sizeof(T));
    const uint32_t lane = threadIdx.x % 32;
    if (lane < size) send(reinterpret_cast<T*>(exchange_.parts[half()]) + warp(), lane, value);
    end_round();
    T parts[Parts::kPerLane];
    read(parts);
#pragma unroll
    for (int i = 1; i < Parts::kPerLane; ++i) parts[0].merge(parts[i]);
    return warp_merge(parts[0]);
  }

  // After a merge, what this lane reads of the warps' parts: kPerLane of them from lane · kPerLane
  // on, neutral past the last warp.
  template <typename T>
  __device__ __forceinline__ void read(T (&parts)[Parts::kPerLane]) const {
    const T* all = reinterpret_cast<const T*>(exchange_.parts[half() ^ 1]);
#pragma unroll
    for (int i = 0; i < Parts::kPerLane; ++i) {
      const uint32_t part = threadIdx.x % 32 * Parts::kPerLane + i;
      parts[i] = part < size * kWarps ? all[part] : T{};
    }
  }

  // After a merge of counts: the sum of those of earlier warps.
  __device__ uint32_t count_before() const {
    Count parts[Parts::kPerLane];
    read(parts);
    uint32_t before = 0;
#pragma unroll
    for (uint32_t i = 0; i < Parts::kPerLane; ++i)
      before += threadIdx.x % 32 * Parts::kPerLane + i < warp() ? parts[i].count : 0;
    return __reduce_add_sync(kAllLanes, before);
  }

  // A round of another kind: this CTA expects `bytes` in all.
  __device__ void begin_round(uint32_t bytes) {
    if (threadIdx.x == 0) arrive_expecting(barrier_of(half()), static_cast<int>(bytes));
  }
  __device__ void end_round() {
    wait_barrier(barrier_of(half()), static_cast<int>(round_ >> 1 & 1));
    ++round_;
  }
  // Stores a value in the CTA of `peer` at what is `own` here.
  template <typename T>
  __device__ __forceinline__ void send(T* own, uint32_t peer, const T& value) const {
    const Words<T> words(value);
    const uint32_t to = address_in(shared_address(own), peer);
    const uint32_t barrier = address_in(barrier_of(half()), peer);
    if constexpr (words.kCount == 4) {
      asm volatile(
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%0], {%1, %2, %3, %4}, "
          "[%5];" ::"r"(to),
          "r"(words.values[0]), "r"(words.values[1]), "r"(words.values[2]), "r"(words.values[3]),
          "r"(barrier)
          : "memory");
    } else if constexpr (words.kCount == 2) {
      asm volatile(
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u32 [%0], {%1, %2}, [%3];" ::
              "r"(to),
          "r"(words.values[0]), "r"(words.values[1]), "r"(barrier)
          : "memory");
    } else {
      static_assert(words.kCount == 1);
      asm volatile(
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(to),
          "r"(words.values[0]), "r"(barrier)
          : "memory");
    }
  }

 private:
  __device__ static uint32_t count_ctas() {
    uint32_t count;
    asm volatile("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(count));
    return count;
  }
  __device__ static uint32_t address_in(uint32_t own, uint32_t peer) {
    uint32_t address;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(own), "r"(peer));
    return address;
  }
  __device__ uint32_t half() const { return round_ & 1; }
  __device__ uint32_t barrier_of(uint32_t half) const {
    return shared_address(&exchange_.barriers[half]);
  }

  Parts& exchange_;
  uint32_t round_ = 0;
};

}  // namespace octavo::device

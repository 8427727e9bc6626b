// Thread block clusters: barriers, reads and writes of a neighbour's shared memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ uint32_t cluster_size() {
  uint32_t size;
  asm volatile("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));
  return size;
}

// Writes of shared memory before it are seen by the whole cluster after it.
__device__ __forceinline__ void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

// cluster_sync in two halves: every thread of the cluster does both, in this order.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// What `shared`, an address of the own CTA's shared memory, is in the CTA of `rank`.
__device__ __forceinline__ uint32_t peer_address(uint32_t shared, uint32_t rank) {
  uint32_t address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared), "r"(rank));
  return address;
}

// Asynchronous stores to a peer_address; they count as bytes that the barrier of the same CTA
// expects, and whoever waited for that barrier sees them.
__device__ __forceinline__ void store_to_peer(uint32_t peer, float4 values, uint32_t peer_barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(peer),
      "f"(values.x), "f"(values.y), "f"(values.z), "f"(values.w), "r"(peer_barrier)
      : "memory");
}
__device__ __forceinline__ void store_to_peer(uint32_t peer, float2 values, uint32_t peer_barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
          peer),
      "f"(values.x), "f"(values.y), "r"(peer_barrier)
      : "memory");
}

// The float at `shared` (an address of the own CTA's shared memory) in the CTA of `rank`. Several
// of these in a row are in flight together.
__device__ __forceinline__ float load_from_peer(uint32_t shared, uint32_t rank) {
  float value;
  asm volatile(
      "{\n .reg .u32 peer;\n mapa.shared::cluster.u32 peer, %1, %2;\n"
      " ld.shared::cluster.f32 %0, [peer];\n}"
      : "=f"(value)
      : "r"(shared), "r"(rank));
  return value;
}

// Seen by the peer after the next cluster barrier.
__device__ __forceinline__ void store_in_cluster(uint32_t peer, uint32_t value) {
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(peer), "r"(value) : "memory");
}

// The value before.
__device__ __forceinline__ uint32_t add_in_cluster(uint32_t peer, uint32_t value) {
  uint32_t before;
  asm volatile("atom.shared::cluster.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "r"(peer), "r"(value)
               : "memory");
  return before;
}

}  // namespace octavo::device

// Thread block clusters: barriers and reads of a neighbour's shared memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Writes of shared memory before it are seen by the whole cluster after it.
__device__ __forceinline__ void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
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

}  // namespace octavo::device

// Emulated clusters.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "machine.h"

namespace octavo::device {

inline uint32_t cluster_rank() { return static_cast<uint32_t>(emulator::thread().cta->rank); }
inline uint32_t cluster_size() { return static_cast<uint32_t>(emulator::cluster().ctas.size()); }

inline void cluster_arrive() {
  emulator::thread().cluster_generation = emulator::cluster().generation;
  emulator::cluster().arrive();
}
inline void cluster_wait() {
  emulator::wait_until(
      [] { return emulator::cluster().generation != emulator::thread().cluster_generation; });
}
inline void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

inline uint32_t peer_address(uint32_t shared, uint32_t rank) {
  return (rank + 1) << 24 | (shared & 0xFFFFFF);
}

template <typename T>
void store_late(uint32_t peer, const T& values, uint32_t peer_barrier) {
  std::byte* const to = emulator::shared_pointer(peer, sizeof(T));
  emulator::MemoryBarrier& barrier = emulator::barrier_at(peer_barrier);
  emulator::later([to, values, &barrier] {
    std::memcpy(to, &values, sizeof(T));
    barrier.add(-static_cast<int32_t>(sizeof(T)), 0);
  });
}
inline void store_to_peer(uint32_t peer, float4 values, uint32_t peer_barrier) {
  store_late(peer, values, peer_barrier);
}
inline void store_to_peer(uint32_t peer, float2 values, uint32_t peer_barrier) {
  store_late(peer, values, peer_barrier);
}

inline float load_from_peer(uint32_t shared, uint32_t rank) {
  return *reinterpret_cast<float*>(emulator::shared_pointer(peer_address(shared, rank), 4));
}
inline void store_in_cluster(uint32_t peer, uint32_t value) {
  std::memcpy(emulator::shared_pointer(peer, 4), &value, 4);
}
inline uint32_t add_in_cluster(uint32_t peer, uint32_t value) {
  auto* const word = reinterpret_cast<uint32_t*>(emulator::shared_pointer(peer, 4));
  const uint32_t before = *word;
  *word += value;
  return before;
}

}  // namespace octavo::device

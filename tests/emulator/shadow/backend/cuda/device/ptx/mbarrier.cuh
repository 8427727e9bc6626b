// Emulated barriers in shared memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/cluster.cuh"
#include "machine.h"

namespace octavo::device {

inline void init_barrier(uint32_t barrier, int arrivals) {
  const auto count = static_cast<uint16_t>(arrivals);
  emulator::barrier_at(barrier) = {.arrivals = count, .pending = count, .bytes_and_phase = 0};
}
inline void publish_barriers() {}
inline void arrive(uint32_t barrier) { emulator::barrier_at(barrier).add(0, 1); }
inline void arrive_at_peer(uint32_t barrier, uint32_t rank) { arrive(peer_address(barrier, rank)); }
inline void arrive_expecting(uint32_t barrier, int bytes) {
  emulator::barrier_at(barrier).add(bytes, 1);
}
inline bool barrier_passed(uint32_t barrier, int parity) {
  return emulator::barrier_at(barrier).phase() != parity;
}
inline void wait_barrier(uint32_t barrier, int parity) {
  const emulator::MemoryBarrier& at = emulator::barrier_at(barrier);
  emulator::wait_until([&at, parity] { return at.phase() != parity; });
}

struct RingPosition {
  int slot = 0;
  int parity = 0;

  void advance(int depth) {
    if (++slot == depth) {
      slot = 0;
      parity ^= 1;
    }
  }
};

}  // namespace octavo::device

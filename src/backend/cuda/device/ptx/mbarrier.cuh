// Barriers in shared memory that count arrivals and the bytes of asynchronous copies.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// A barrier is 8 bytes of shared memory, here by its address. It passes from one phase to the next
// when `arrivals` threads have arrived and all announced bytes are there; a waiter names the parity
// of the phase it waits for: 0, 1, 0, … . Waiting for parity 1 of a new barrier returns at once.
__device__ __forceinline__ void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes barriers that this thread initialised known to copies and to the cluster; other threads of
// the CTA see them after the __syncthreads that follows.
__device__ __forceinline__ void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// At the barrier of the same place in the CTA of `rank` of the cluster. Says that asynchronous
// accesses (wgmma, TMA) which this thread has waited for are over; it publishes no ordinary writes:
// a release at the scope of the cluster would be a fence of the whole GPU's memory, 1 µs each.
__device__ __forceinline__ void arrive_at_peer(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{\n .reg .u32 peer;\n mapa.shared::cluster.u32 peer, %0, %1;\n"
      " mbarrier.arrive.shared::cluster.b64 _, [peer];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

// Arrives and announces copies of `bytes` in all.
__device__ __forceinline__ void arrive_expecting(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ bool barrier_passed(uint32_t barrier, int parity) {
  uint32_t passed;
  asm volatile(
      "{\n .reg .pred passed;\n"
      " mbarrier.try_wait.parity.shared::cta.b64 passed, [%1], %2;\n"
      " selp.u32 %0, 1, 0, passed;\n}"
      : "=r"(passed)
      : "r"(barrier), "r"(parity)
      : "memory");
  return passed != 0;
}

__device__ __forceinline__ void wait_barrier(uint32_t barrier, int parity) {
  while (!barrier_passed(barrier, parity)) {
  }
}

// A position in a ring of `depth` slots, and the parity of the round that it is in.
struct RingPosition {
  int slot = 0;
  int parity = 0;

  __device__ __forceinline__ void advance(int depth) {
    if (++slot == depth) {
      slot = 0;
      parity ^= 1;
    }
  }
};

}  // namespace octavo::device

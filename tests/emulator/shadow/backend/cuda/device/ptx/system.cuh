// Emulated loads and stores that other devices see: other threads of the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "machine.h"

namespace octavo::device {

// Whoever reads here may be waiting for another device.
inline void let_others_run() {
  std::this_thread::yield();
  emulator::yield();
}

inline uint4 load_system(const uint4* address) {
  let_others_run();
  const __m128i value = _mm_load_si128(reinterpret_cast<const __m128i*>(address));
  uint4 result;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&result), value);
  return result;
}
inline void store_system(uint4* address, const uint4& value) {
  _mm_store_si128(reinterpret_cast<__m128i*>(address),
                  _mm_loadu_si128(reinterpret_cast<const __m128i*>(&value)));
}
inline uint32_t load_system(const uint32_t* address) {
  let_others_run();
  return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
inline void store_system(uint32_t* address, uint32_t value) {
  __atomic_store_n(address, value, __ATOMIC_RELEASE);
}
inline void fence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline uint64_t nanoseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace octavo::device

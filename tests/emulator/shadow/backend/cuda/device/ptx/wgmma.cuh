// Emulated products of a warpgroup: E4M3 operands in shared memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "warpgroup_product.h"

namespace octavo::device {

inline void wgmma_fence() {}
inline void wgmma_commit() { emulator::thread().products.commit(); }
// For all lanes of a warp at once: behind it one may speak for the others.
template <int kPending>
void wgmma_wait_until() {
  emulator::thread().products.run_all_but(kPending);
  emulator::exchange(~0u, 0);
}
inline void wgmma_wait() { wgmma_wait_until<0>(); }

inline uint64_t wgmma_descriptor_swizzled(uint32_t shared) {
  return emulator::descriptor(shared, 0);
}
inline constexpr uint64_t kSwizzledStep = 32 >> 4;

template <int kEights>
void wgmma_e4m3(float (&d)[kEights][4], uint64_t a, uint64_t b, bool add) {
  emulator::multiply_later<emulator::E4m3Code>(d, emulator::Rows{a}, emulator::Rows{b}, add);
}

}  // namespace octavo::device

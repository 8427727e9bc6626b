// Emulated loads, stores and copies of a thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "machine.h"

namespace octavo::device {

inline uint4 load_streaming(const void* address) { return *static_cast<const uint4*>(address); }
inline uint32_t shared_address(const void* pointer) { return emulator::shared_address(pointer); }
inline uint4 load_shared_16(uint32_t address) {
  return *reinterpret_cast<const uint4*>(emulator::shared_pointer(address, 16));
}
inline void store_shared_2(uint32_t address, uint16_t value) {
  std::memcpy(emulator::shared_pointer(address, 2), &value, 2);
}
inline uint32_t load_shared_2(uint32_t address) {
  uint16_t value;
  std::memcpy(&value, emulator::shared_pointer(address, 2), 2);
  return value;
}
inline void pin(uint32_t&, uint32_t&) {}

template <int kBytes>
void copy_async(void* shared, const void* global, bool present) {
  const auto copy = [shared, global, present] {
    if (present) {
      std::memcpy(shared, global, kBytes);
    } else {
      std::memset(shared, 0, kBytes);
    }
  };
  if (emulator::toss()) return copy();
  emulator::thread().copies.open.emplace_back(copy);
}
inline void copy_async_16(void* shared, const void* global, bool present) {
  copy_async<16>(shared, global, present);
}
inline void commit_copies() { emulator::thread().copies.commit(); }
template <int kPending>
void wait_for_copies() {
  emulator::thread().copies.run_all_but(kPending);
}

}  // namespace octavo::device

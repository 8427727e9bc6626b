// Emulated tensor memory accelerator.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "machine.h"
#include "tensor_copy.h"

namespace octavo::device {

enum class L2Policy : uint64_t { kEvictNormal, kEvictFirst, kEvictLast };

inline void prefetch_tensor_map(const CUtensorMap*) {}
inline void tma_prefetch(const CUtensorMap*, int, int) {}
inline void bulk_prefetch(const void*, uint32_t) {}

inline void tma_load(uint32_t shared, const CUtensorMap* map, uint32_t barrier, int c0, int c1,
                     L2Policy = L2Policy::kEvictNormal) {
  emulator::load_box(*map, {c0, c1}, shared, barrier, 0);
}
inline void tma_load(uint32_t shared, const CUtensorMap* map, uint32_t barrier, int c0, int c1,
                     int c2, L2Policy = L2Policy::kEvictNormal) {
  emulator::load_box(*map, {c0, c1, c2}, shared, barrier, 0);
}
inline void tma_load(uint32_t shared, const CUtensorMap* map, uint32_t barrier, int c0, int c1,
                     int c2, int c3, L2Policy = L2Policy::kEvictNormal) {
  emulator::load_box(*map, {c0, c1, c2, c3}, shared, barrier, 0);
}
inline void tma_load_multicast(uint32_t shared, const CUtensorMap* map, uint32_t barrier, int c0,
                               int c1, uint16_t mask, L2Policy = L2Policy::kEvictNormal) {
  emulator::load_box(*map, {c0, c1}, shared, barrier, mask);
}
inline void bulk_load(uint32_t shared, const void* global, int bytes, uint32_t barrier,
                      L2Policy = L2Policy::kEvictNormal) {
  emulator::load_bytes(global, bytes, shared, barrier);
}
inline void tma_store(const CUtensorMap* map, uint32_t shared, int c0, int c1) {
  emulator::store_box(*map, {c0, c1}, shared);
}
inline void commit_stores() { emulator::thread().stores.commit(); }
template <int kPending>
void wait_for_store_reads() {
  emulator::thread().stores.run_all_but(kPending);
}
inline void fence_async_proxy() {}

}  // namespace octavo::device

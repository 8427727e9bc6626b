// Emulated products of attention.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"

namespace octavo::device {

template <int kRows, int kColumns>
struct alignas(1024) SwizzledTile {
  static constexpr int kPartBytes = kRows * 128;
  uint4 pieces[kColumns / 64][kRows][8];

  uint4& at(int row, int piece) { return pieces[piece / 8][row][piece % 8 ^ row % 8]; }
};

inline uint64_t swizzled_descriptor(uint32_t shared, int part_bytes) {
  return emulator::descriptor(shared, part_bytes);
}
inline uint64_t advance(uint64_t descriptor, int bytes) { return descriptor + (bytes >> 4); }

template <int N>
void pin(float (&)[N][4]) {}
inline void hold_until(float) {}

template <typename Element>
struct Wgmma {
  static void scores(float (&d)[16][4], uint64_t a, uint64_t b, bool add) {
    emulator::multiply_later<Element>(d, emulator::Rows{a}, emulator::Rows{b}, add);
  }
  static void rows(float (&d)[16][4], const uint32_t (&a)[4], uint64_t b, bool add) {
    emulator::multiply_later<Element>(d, emulator::registers_of<Element>(a), emulator::Rows{b},
                                      add);
  }
  template <int kEights>
  static void weigh(float (&d)[kEights][4], const uint32_t (&a)[4], uint64_t b) {
    emulator::multiply_later<Element>(d, emulator::registers_of<Element>(a), emulator::Columns{b},
                                      true);
  }
};

inline void wgmma_e4m3_scores(float (&d)[16][4], uint64_t a, uint64_t b, bool add) {
  wgmma_e4m3(d, a, b, add);
}

}  // namespace octavo::device

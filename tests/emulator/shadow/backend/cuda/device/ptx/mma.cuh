// Emulated products and tile moves of a warp.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>

#include "machine.h"

namespace octavo::device {

// Two 16-bit elements of a register as floats.
template <typename Element>
struct Pair {
  float values[2];

  explicit Pair(uint32_t word) {
    Element elements[2];
    std::memcpy(elements, &word, 4);
    values[0] = static_cast<float>(elements[0]);
    values[1] = static_cast<float>(elements[1]);
  }
};

// Lane (g, t) holds rows g and g + 8 of a at k = 2t, 2t + 1, 2t + 8, 2t + 9, column g of b at the
// same k, and of d columns 2t, 2t + 1 of rows g and g + 8.
template <typename Element>
void multiply_tile(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const auto both = [](uint32_t low, uint32_t high) {
    return static_cast<uint64_t>(high) << 32 | low;
  };
  const auto near = emulator::exchange(~0u, both(a[0], a[1]));  // k below 8: rows g, g + 8
  const auto far = emulator::exchange(~0u, both(a[2], a[3]));
  const auto columns = emulator::exchange(~0u, both(b0, b1));
  const int g = emulator::thread().lane() / 4, t = emulator::thread().lane() % 4;
  for (int half = 0; half < 2; ++half) {
    for (int c = 0; c < 2; ++c) {
      float sum = 0;
      for (int other = 0; other < 4; ++other) {
        const auto row = static_cast<size_t>(4 * g + other);
        const auto column = static_cast<size_t>(4 * (2 * t + c) + other);
        const Pair<Element> a_near(static_cast<uint32_t>(near[row] >> 32 * half));
        const Pair<Element> a_far(static_cast<uint32_t>(far[row] >> 32 * half));
        const Pair<Element> b_near(static_cast<uint32_t>(columns[column]));
        const Pair<Element> b_far(static_cast<uint32_t>(columns[column] >> 32));
        for (int i = 0; i < 2; ++i)
          sum += a_near.values[i] * b_near.values[i] + a_far.values[i] * b_far.values[i];
      }
      d[2 * half + c] += sum;
    }
  }
}

inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  multiply_tile<__half>(d, a, b0, b1);
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  multiply_tile<__nv_bfloat16>(d, a, b0, b1);
}

// Lane i gives the address of row i % 8 of tile i / 8; rows are eight 16-bit elements.
inline void load_tiles(uint32_t (&tiles)[4], uint32_t address) {
  if (address % 16 != 0) throw emulator::Fault("ldmatrix: a row that is not aligned to 16 bytes");
  const auto rows = emulator::exchange(~0u, address);
  const int g = emulator::thread().lane() / 4, t = emulator::thread().lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const auto row = static_cast<uint32_t>(rows[static_cast<size_t>(8 * i + g)]);
    std::memcpy(&tiles[i], emulator::shared_pointer(row, 16) + 4 * t, 4);
  }
}
inline void load_tiles_transposed(uint32_t (&tiles)[4], uint32_t address) {
  if (address % 16 != 0) throw emulator::Fault("ldmatrix: a row that is not aligned to 16 bytes");
  const auto rows = emulator::exchange(~0u, address);
  const int g = emulator::thread().lane() / 4, t = emulator::thread().lane() % 4;
  for (int i = 0; i < 4; ++i) {
    uint16_t elements[2];
    for (int k = 0; k < 2; ++k) {
      const auto row = static_cast<uint32_t>(rows[static_cast<size_t>(8 * i + 2 * t + k)]);
      std::memcpy(&elements[k], emulator::shared_pointer(row, 16) + 2 * g, 2);
    }
    std::memcpy(&tiles[i], elements, 4);
  }
}
inline void store_tiles(uint32_t address, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3) {
  if (address % 16 != 0) throw emulator::Fault("stmatrix: a row that is not aligned to 16 bytes");
  const auto rows = emulator::exchange(~0u, address);
  const uint32_t tiles[4] = {t0, t1, t2, t3};
  const int g = emulator::thread().lane() / 4, t = emulator::thread().lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const auto row = static_cast<uint32_t>(rows[static_cast<size_t>(8 * i + g)]);
    std::memcpy(emulator::shared_pointer(row, 16) + 4 * t, &tiles[i], 4);
  }
  emulator::exchange(~0u, 0);
}

}  // namespace octavo::device

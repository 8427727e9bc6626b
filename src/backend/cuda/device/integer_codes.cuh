// Integer codes of weights to bfloat16 in registers, exactly, and which code goes where.
// SPDX-License-Identifier: Apache-2.0
//
// Plain functions of words, so that a test without a GPU can check every code and every place.
#pragma once

#include <cstdint>

#if defined(__CUDACC__) || defined(__CUDA_ARCH__)
#include "backend/cuda/device/ptx/lop3.cuh"
#define OCTAVO_ON_BOTH __host__ __device__ __forceinline__
#else
#define OCTAVO_ON_BOTH inline
#endif

namespace octavo::device {

// Two bfloat16 in a word each: the codes are `value` - `offset`, and that difference is exact.
struct CodePair {
  uint32_t value;
  uint32_t offset;
};

// The 8-bit codes in bytes 0 and 2 of the word. The low seven bits of a code are the mantissa of
// 128 + them; its sign bit is the lowest bit of an exponent: 128, or 256 where it is set.
OCTAVO_ON_BOTH CodePair int8_pair(uint32_t word) {
  constexpr uint32_t kLow = 0x007F007Fu, kSign = 0x00800080u, k128 = 0x43004300u;
#ifdef __CUDA_ARCH__
  return {and_or(word, kLow, k128), and_or(word, kSign, k128)};
#else
  return {(word & kLow) | k128, (word & kSign) | k128};
#endif
}

// The 4-bit codes in the low halves of bytes 0 and 2: a code plus 8 is the mantissa of 128 + that.
OCTAVO_ON_BOTH CodePair int4_pair(uint32_t word) {
  constexpr uint32_t kLow = 0x000F000Fu, k136 = 0x43084308u;
#ifdef __CUDA_ARCH__
  return {and_xor(word, kLow, k136), k136};
#else
  return {(word & kLow) ^ k136, k136};
#endif
}

// What mma.sync m16n8k16 reads in `integer_low_latency`. A step is 128 codes of a row; a thread
// (g, t) loads two pieces of 16 bytes of a row of codes, one for each `half`, and the same elements
// of x. Four products of k = 16 take a piece. Which elements they are depends on t alone, so that
// products of codes and of x meet; the order is one in which the pieces that eight neighbouring
// threads load lie in different banks of rows in the 128-byte swizzle.
struct StepLayout {
  static constexpr int kColumns = 128;      // of a step
  static constexpr int kPieceColumns = 16;  // of codes: 16 bytes
  static constexpr int kLineElements = 64;  // of x in a line of 128 bytes

  // The first of the 16 columns of a piece.
  OCTAVO_ON_BOTH static int column(int t, int half) { return 32 * t + 16 * (half ^ (t >> 1)); }

  // Bytes from the start of a row of codes in the swizzle, for a row g modulo 8.
  OCTAVO_ON_BOTH static int code_offset(int g, int t, int half) {
    return ((column(t, half) / kPieceColumns) ^ g) * 16;
  }

  // The line of x, and the bytes within it, of the eight elements `eight` (0 or 1) of the piece.
  OCTAVO_ON_BOTH static int x_line(int t) { return t >> 1; }
  OCTAVO_ON_BOTH static int x_offset(int g, int t, int half, int eight) {
    return ((column(t, half) % kLineElements / 8 + eight) ^ g) * 16;
  }

  // Product i of a piece has columns 4 i … 4 i + 3 of it: the thread's k = 2t, 2t + 1 are the first
  // and the third, and 2t + 8, 2t + 9 the second and the fourth.
  OCTAVO_ON_BOTH static int column_in_piece(int product, int slot) {
    return 4 * product + (slot % 2) * 2 + slot / 2;
  }
};

// Rows of 16 that a thread holds as rows g and g + 8 of a product. A stored row of 4-bit codes is
// two neighbours; one of 8-bit codes is itself.
OCTAVO_ON_BOTH int row_of_pair(bool four_bits, int g, int high) {
  return four_bits ? 2 * g + high : g + 8 * high;
}

// In `integer_large`, where a thread's two rows are to be neighbours in y: 2g and 2g + 1. With
// 8-bit codes the threads of g above 3 swap them, so that the eight rows that are read together
// differ modulo 8.
OCTAVO_ON_BOTH int neighbour_row(bool four_bits, int g, int high) {
  return 2 * g + (four_bits ? high : high ^ (g >> 2));
}

// There wgmma reads x as it lies: of product j (16 columns) thread t takes the codes of columns
// 16 j + 8 `upper` + 2 t and the next one. Their bytes from the start of a row of 128 codes in the
// swizzle, for a row modulo 8.
OCTAVO_ON_BOTH int wgmma_offset(int row, int t, int step, int upper) {
  return ((step ^ row) & 7) * 16 + 8 * upper + 2 * t;
}

}  // namespace octavo::device

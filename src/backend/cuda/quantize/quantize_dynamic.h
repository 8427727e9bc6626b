// Quantize with scales made from the data.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

struct DynamicRows {
  const void* x;
  float* scale;  // [rows, groups of a row]
  void* y;
  int64_t x_stride, scale_stride, y_stride;
  int64_t rows;
  int columns;
  int group;   // columns that share a scale
  int vector;  // elements that may be moved at once: 8 or 1
  float clamp_low, clamp_high;
  DType activation;
};

inline constexpr int kDynamicWidth = 8;     // of a vector
inline constexpr int kDynamicGroup = 128;   // columns of a group that half a warp has in registers
inline constexpr int kMaxRowThreads = 512;  // of a row's block
inline constexpr int kMaxRowHeld = 8;       // vectors that each of them has in registers

// How the block of a whole row is cut.
struct RowLayout {
  int held;  // 1, 2, 4 or 8
  int threads;
  bool fits;  // so many threads hold the whole row
};
inline RowLayout row_layout(int columns) {
  const int64_t vectors = blocks_for(columns, kDynamicWidth);
  int held = 1;
  while (held < kMaxRowHeld && vectors > int64_t{128} * held) held *= 2;
  const int64_t threads = blocks_for(blocks_for(vectors, held), 32) * 32;
  return {.held = held,
          .threads = threads < kMaxRowThreads ? static_cast<int>(threads) : kMaxRowThreads,
          .fits = threads <= kMaxRowThreads};
}

void launch_quantize_dynamic(const DynamicRows& rows, const Launch& where);

}  // namespace octavo::cuda

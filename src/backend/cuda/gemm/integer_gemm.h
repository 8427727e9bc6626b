// A product of 16-bit tokens with integer codes, as its kernels on Hopper get it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"

namespace octavo::cuda {

inline constexpr int kIntegerGroup = 128;  // columns of 4-bit codes that share a scale

struct IntegerShape {
  int m, n, k;
  bool four_bits;
};

// y = x · codesᵀ × scales + bias. 8-bit codes have a scale a row, 4-bit codes one a row and 128
// columns.
struct IntegerGemm {
  IntegerShape shape;
  const void* x;          // [m, k] bfloat16
  const uint8_t* weight;  // [n, k]; of 4-bit codes [n / 2, k]: rows 2i (low half) and 2i + 1
  const float* scale;     // [n, 1], or [n, k / 128] rounded up
  const void* bias;       // [n] of y's type; null: none
  void* y;                // [m, n] bfloat16, or float32 with y_is_float
  int64_t x_stride, weight_stride, scale_stride, y_stride;
  bool y_is_float;
};

constexpr int rows_of_stored(const IntegerShape& shape) { return shape.four_bits ? 2 : 1; }

}  // namespace octavo::cuda

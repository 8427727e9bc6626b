// Tensors whose elements follow from their index, so that a device can make them by itself.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace octavo {

struct FillPattern {
  DType dtype = DType::kF32;
  uint64_t seed = 0;      // added to an element's index
  float width = 0.0f;     // of random ones: uniform in [-width, width)
  float constant = 0.0f;  // of all others, rounded to the type
  bool random = false;
  // Of random ones that are part of a larger tensor: so many elements of each of its rows; 0: all.
  int64_t columns = 0;
  int64_t row_stride = 0;  // elements of a row of the larger tensor

  // The index of an element in the tensor that the pattern is of, counted from this part's first.
  int64_t index_of(int64_t i) const {
    return columns == 0 ? i : i / columns * row_stride + i % columns;
  }
};

// Elements [first, first + count) of the pattern.
struct Fill {
  FillPattern pattern;
  void* to = nullptr;
  int64_t first = 0;
  int64_t count = 0;
};

}  // namespace octavo

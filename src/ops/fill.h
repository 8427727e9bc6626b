// Tensors whose elements follow from their index, so that a device can make them by itself.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace octavo {

struct FillPattern {
  DType dtype = DType::kF32;
  uint64_t seed = 0;
  float width = 0.0f;     // of random ones: uniform in [-width, width)
  float constant = 0.0f;  // of all others, rounded to the type
  bool random = false;
};

// Elements [first, first + count) of the pattern.
struct Fill {
  FillPattern pattern;
  void* to = nullptr;
  int64_t first = 0;
  int64_t count = 0;
};

}  // namespace octavo

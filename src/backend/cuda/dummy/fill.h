// Dummy weights made where they are used: the bytes of model/dummy_weights.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

// Elements [first, first + count) of a random tensor, uniform in [-width, width): F32, BF16 or
// E4M3, aligned to their size.
struct RandomFill {
  void* to;
  DType dtype;
  float width;
  uint64_t seed;
  int64_t first;
  int64_t count;
  int64_t columns = 0;     // of each row of a larger tensor; 0: all
  int64_t row_stride = 0;  // of that tensor
};
void launch_random_fill(const RandomFill& fill, const Launch& where);

struct ConstantFill {
  void* to;
  DType dtype;
  float value;  // rounded to the type
  int64_t count;
};
void launch_constant_fill(const ConstantFill& fill, const Launch& where);

}  // namespace octavo::cuda

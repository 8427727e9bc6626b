// The sum of two tensors, row by row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cpu/rows.h"

namespace octavo {

class RowAdder {
 public:
  // y = a + b; y may be a or b.
  RowAdder(const TensorView& a, const TensorView& b, const TensorView& y)
      : a_(a), b_(b), y_(y), writer_(y.dtype, y.dtype, {}) {}

  // Writes one row of y; `sum` gets the row before it is rounded to y's type.
  void add(int64_t row, float* sum) const;

 private:
  TensorView a_;
  TensorView b_;
  TensorView y_;
  RowWriter writer_;
};

}  // namespace octavo

// The sum of two tensors, row by row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/row_adder.h"

namespace octavo {

void RowAdder::add(int64_t row, float* sum) const {
  std::vector<float> buffer(static_cast<size_t>(b_.columns()));
  const float* a = read_row(a_, row, sum);
  const float* b = read_row(b_, row, buffer.data());
  for (int64_t i = 0; i < y_.columns(); ++i) sum[i] = a[i] + b[i];
  writer_.write_row(sum, y_, row);
}

}  // namespace octavo

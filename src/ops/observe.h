// Statistics of calibration that a device accumulates: those of quant/statistics.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace octavo {

// Of one observed tensor over any number of calls; all zero at first. Sums and maxima of integers:
// the same in any order.
struct ObservedTotals {
  // Values by their float exponent, bin 255 for what is not finite.
  unsigned long long exponents[256];
  uint32_t amax_bits;  // of the largest finite magnitude, as a float
  uint32_t padding;
};

// A [rows, columns] F32 or BF16 tensor of device memory.
struct ObservedRows {
  const void* data;
  DType dtype;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;  // elements
  ObservedTotals* totals;
};

}  // namespace octavo

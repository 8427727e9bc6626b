// Accumulation of calibration statistics.
// SPDX-License-Identifier: Apache-2.0
#include "quant/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "numerics/bf16.h"

namespace octavo {
namespace {

template <typename T>
void observe_rows(const TensorView& tensor, ObservedTensor& result) {
  uint32_t largest = 0;
  for (int64_t row = 0; row < tensor.rows(); ++row) {
    const T* values = tensor.row<T>(row);
    for (int64_t column = 0; column < tensor.columns(); ++column) {
      float value;
      if constexpr (std::is_same_v<T, float>) {
        value = values[column];
      } else {
        value = to_float(values[column]);
      }
      // Magnitudes order like their bits.
      const uint32_t bits = std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu;
      ++result.statistics.exponents[bits >> 23];
      if (bits < 0x7F800000u) largest = std::max(largest, bits);
    }
  }
  result.statistics.amax = std::bit_cast<float>(largest);
}

}  // namespace

void TensorStatistics::merge(const TensorStatistics& other) {
  amax = std::max(amax, other.amax);
  count += other.count;
  for (size_t i = 0; i < exponents.size(); ++i) exponents[i] += other.exponents[i];
}

double TensorStatistics::share_above(float limit) const {
  if (count == 0 || amax <= limit) return 0.0;
  uint64_t above = 0;
  for (size_t bin = std::bit_cast<uint32_t>(limit) >> 23; bin < exponents.size(); ++bin)
    above += exponents[bin];
  return static_cast<double>(above) / static_cast<double>(count);
}

float TensorStatistics::median_bound() const {
  uint64_t below = 0;
  for (size_t bin = 0; bin < 255; ++bin) {
    below += exponents[bin];
    if (2 * below >= count) return std::ldexp(1.0f, static_cast<int>(bin) - 126);
  }
  return amax;
}

ObservedTensor observe(const TensorView& tensor) {
  ObservedTensor result;
  if (tensor.dtype == DType::kBF16) {
    observe_rows<bf16>(tensor, result);
  } else {
    OCTAVO_CHECK(tensor.dtype == DType::kF32);
    observe_rows<float>(tensor, result);
  }
  result.nonfinite = result.statistics.exponents[255];
  result.statistics.exponents[255] = 0;
  result.statistics.count = static_cast<uint64_t>(tensor.elements()) - result.nonfinite;
  return result;
}

}  // namespace octavo

// RMS norm of a row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rms_normalizer.h"

#include <cmath>

#include "backend/cpu/rows.h"
#include "backend/cpu/vector_ops.h"

namespace octavo {

RmsNormalizer::RmsNormalizer(const TensorView& weight, float epsilon, DType type)
    : weight_(static_cast<size_t>(weight.elements())), epsilon_(epsilon), type_(type) {
  convert_to_float(weight.dtype, weight.data, weight_.data(), weight.elements());
}

void RmsNormalizer::normalize(const float* x, float* y, int64_t columns) const {
  const auto width = static_cast<int64_t>(weight_.size());
  for (int64_t group = 0; group < columns; group += width) {
    const float mean = vector_ops().sum_of_squares(x + group, width) / static_cast<float>(width);
    const float inverse_rms = 1.0f / std::sqrt(mean + epsilon_);
    vector_ops().normalize(x + group, inverse_rms, type_ == DType::kBF16, weight_.data(), y + group,
                           width);
  }
}

}  // namespace octavo

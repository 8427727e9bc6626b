// The rotation of one position.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rotation.h"

#include <cmath>

#include "backend/cpu/vector_ops.h"

namespace octavo {

Rotation::Rotation(const TensorView& inverse_frequency)
    : inverse_frequency_(inverse_frequency),
      cosines_(static_cast<size_t>(inverse_frequency.elements())),
      sines_(cosines_.size()) {}

void Rotation::set_position(int32_t position) {
  for (size_t i = 0; i < cosines_.size(); ++i) {
    const float angle = static_cast<float>(position) * inverse_frequency_.as<float>()[i];
    // Through double, so that the result is the nearest float whatever the C library.
    cosines_[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    sines_[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
  }
}

void Rotation::rotate(const float* x, float* y, int64_t columns) const {
  const auto half = static_cast<int64_t>(cosines_.size());
  for (int64_t head = 0; head < columns; head += 2 * half) {
    vector_ops().rotate(x + head, cosines_.data(), sines_.data(), y + head, half);
  }
}

}  // namespace octavo

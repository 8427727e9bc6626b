// Scale rules of FP8.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/scale.h"

#include <cmath>
#include <limits>

#include "core/error.h"

namespace octavo {

float safe_scale(float amax, float largest_code) {
  OCTAVO_CHECK(std::isfinite(amax) && amax >= 0.0f);
  if (amax == 0.0f) return 1.0f;
  const float scale = amax / largest_code;
  // Twice the smallest normal: its reciprocal, 2^125, is still finite.
  constexpr float kSmallest = 2.0f * std::numeric_limits<float>::min();
  return scale < kSmallest ? kSmallest : scale;
}

bool valid_scale(float scale) {
  return std::isfinite(scale) && scale >= std::numeric_limits<float>::min() && scale <= 1e37f;
}

}  // namespace octavo

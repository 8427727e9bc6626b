// Signed integer codes of weights: 8 bits, and 4 bits two in a byte.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

namespace octavo {

inline constexpr float kInt8Max = 127.0f;
inline constexpr float kInt4Max = 7.0f;

// value / scale, rounded to nearest even and saturated to [low, high]; NaN becomes 0.
inline int8_t to_integer_code(float scaled, float low, float high) {
  if (!(scaled > low)) return scaled <= low ? static_cast<int8_t>(low) : int8_t{0};
  return static_cast<int8_t>(std::nearbyint(scaled < high ? scaled : high));
}
inline int8_t to_int8_code(float scaled) { return to_integer_code(scaled, -128.0f, kInt8Max); }
inline int8_t to_int4_code(float scaled) { return to_integer_code(scaled, -8.0f, kInt4Max); }

// The codes of rows 2i and 2i + 1 in one byte.
inline uint8_t pack_int4(int8_t even, int8_t odd) {
  return static_cast<uint8_t>((even & 0x0F) | (odd << 4));
}
// The code of the even (0) or odd (1) row.
inline int8_t unpack_int4(uint8_t pair, int odd) {
  const auto high = static_cast<int8_t>(odd != 0 ? pair : pair << 4);
  return static_cast<int8_t>(high >> 4);
}

}  // namespace octavo

// The FP8 E4M3 codec (the FN variant: no infinity, NaN is 0x7F and 0xFF, largest value 448).
// SPDX-License-Identifier: Apache-2.0
//
// Goal: the written truth of FP8 numerics. Every kernel on every device must produce these bytes.
#pragma once

#include <bit>
#include <cstdint>

namespace octavo {

struct e4m3 {
  uint8_t bits = 0;
};

inline constexpr float kE4M3Max = 448.0f;
// The largest value that rounds to 448 without saturation: halfway to the next step of 32.
inline constexpr float kE4M3RoundsToMax = 464.0f;
inline constexpr uint8_t kE4M3NaN = 0x7F;

constexpr bool is_nan(e4m3 value) { return (value.bits & 0x7Fu) == kE4M3NaN; }

// Exact.
constexpr float to_float(e4m3 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x80u) << 24;
  const uint32_t exponent = (value.bits >> 3) & 0xFu;
  const uint32_t mantissa = value.bits & 0x7u;
  if (is_nan(value)) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 120u) << 23) | (mantissa << 20));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  return sign != 0 ? -magnitude : magnitude;
}

// Round to nearest even, saturating to ±448 (infinities too); NaN becomes NaN. Signed zero is kept.
constexpr e4m3 to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint8_t sign = static_cast<uint8_t>((bits >> 24) & 0x80u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {static_cast<uint8_t>(sign | kE4M3NaN)};
  if (magnitude >= 0x43E00000u) return {static_cast<uint8_t>(sign | 0x7Eu)};  // |value| >= 448
  if (magnitude < 0x3C800000u) {
    // Below 2^-6 codes are multiples of 2^-9. Adding 2^14 leaves those multiples in the low
    // mantissa bits, rounded to nearest even by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return {static_cast<uint8_t>(
        sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0x1p14f)))};
  }
  const uint32_t rounded = magnitude + 0x7FFFFu + ((magnitude >> 20) & 1u);
  const uint32_t code = (rounded >> 20) - (120u << 3);
  return {static_cast<uint8_t>(sign | (code > 0x7Eu ? 0x7Eu : code))};
}

}  // namespace octavo

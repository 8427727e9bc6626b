// Conversions of rows, branch-free so that the compiler vectorises them; numerics/ is their truth.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/vector/f32x16.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

// Elements do not depend on one another, also where output and input are the same memory.
#if defined(__clang__)
#define OCTAVO_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define OCTAVO_INDEPENDENT _Pragma("GCC ivdep")
#endif

OCTAVO_INLINE uint32_t bits_of(float value) { return __builtin_bit_cast(uint32_t, value); }
OCTAVO_INLINE float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// The upper half of the result is the BF16 value.
OCTAVO_INLINE uint32_t bf16_rounded(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
  return (bits & 0x7FFFFFFFu) > 0x7F800000u ? bits | 0x00400000u : rounded;
}

OCTAVO_INLINE float nearest_bf16(float value) {
  return float_of(bf16_rounded(value) & 0xFFFF0000u);
}

void from_bf16(const bf16* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = float_of(static_cast<uint32_t>(x[i].bits) << 16);
}

void to_bf16_row(const float* x, bf16* __restrict y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i].bits = static_cast<uint16_t>(bf16_rounded(x[i]) >> 16);
}

void round_bf16(float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = nearest_bf16(values[i]);
}

OCTAVO_INLINE float e4m3_to_float(uint32_t code) {
  const uint32_t magnitude = code & 0x7Fu;
  // With the exponent's bias moved, normal codes are right; of subnormal ones (exponent 0, read as
  // 2^-7 × (1 + m / 8)) the implicit one is taken off and the rest doubled.
  const float biased = float_of((magnitude << 20) + (120u << 23));
  const float subnormal = (biased - 0x1p-7f) * 2.0f;
  uint32_t bits = magnitude < 8u ? bits_of(subnormal) : bits_of(biased);
  bits = magnitude == kE4M3NaN ? 0x7FC00000u : bits;
  return float_of(bits | ((code & 0x80u) << 24));
}

void from_e4m3(const e4m3* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = e4m3_to_float(x[i].bits);
}

OCTAVO_INLINE uint8_t e4m3_from_float(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  // Clamping first makes both paths total: the largest code is what 448 encodes to.
  const uint32_t clamped = magnitude > 0x43E00000u ? 0x43E00000u : magnitude;
  const uint32_t normal = ((clamped + 0x7FFFFu + ((clamped >> 20) & 1u)) >> 20) - (120u << 3);
  const uint32_t subnormal = bits_of(float_of(clamped) + 0x1p14f) - bits_of(0x1p14f);
  uint32_t code = clamped < 0x3C800000u ? subnormal : normal;
  code = magnitude > 0x7F800000u ? kE4M3NaN : code;
  return static_cast<uint8_t>(code | ((bits >> 24) & 0x80u));
}

void quantize_row(const float* x, bool round_first, float inverse_scale, e4m3* __restrict y,
                  int64_t count) {
  if (round_first) {
    for (int64_t i = 0; i < count; ++i) {
      y[i].bits = e4m3_from_float(nearest_bf16(x[i]) * inverse_scale);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) y[i].bits = e4m3_from_float(x[i] * inverse_scale);
  }
}

}  // namespace
}  // namespace octavo

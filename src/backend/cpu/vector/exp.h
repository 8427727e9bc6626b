// The exponential function on sixteen lanes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/vector/f32x16.h"

namespace octavo {
namespace {

OCTAVO_INLINE FloatPart exp_part(FloatPart x) {
  // Below the smallest argument the result is set to zero, so that subnormals never occur.
  constexpr float kSmallest = -87.33654f;  // ln of the smallest normal
  constexpr float kLargest = 88.72283f;    // ln of the largest finite float
  const FloatPart zero = {};
  const IntPart too_small = x < kSmallest;
  const IntPart too_large = x > kLargest;
  const IntPart not_a_number = x != x;
  const FloatPart inside = (too_small | too_large | not_a_number) ? zero : x;

  // x = n × ln 2 + r, with ln 2 in two pieces; adding 1.5 × 2^23 rounds to the nearest integer.
  const FloatPart round = zero + 0x1.8p23f;
  const FloatPart shifted = fma_part(inside, zero + 1.44269504f, round);
  const FloatPart n = shifted - round;
  FloatPart r = fma_part(n, zero - 0x1.62e400p-1f, inside);
  r = fma_part(n, zero - 0x1.7f7d1cp-20f, r);

  // exp(r) on |r| <= ln 2 / 2.
  FloatPart p = zero + 0x1.6a2352p-10f;
  p = fma_part(p, r, zero + 0x1.123a6cp-7f);
  p = fma_part(p, r, zero + 0x1.5558f4p-5f);
  p = fma_part(p, r, zero + 0x1.555490p-3f);
  p = fma_part(p, r, zero + 0x1.fffffcp-2f);
  p = fma_part(p, r, zero + 1.0f);
  p = fma_part(p, r, zero + 1.0f);

  // 2^n in two factors, because n = 128 alone would overflow.
  const IntPart exponent = (IntPart)shifted - (IntPart)round;
  const IntPart half = exponent >> 1;
  const FloatPart low = (FloatPart)((half + 127) << 23);
  const FloatPart high = (FloatPart)((exponent - half + 127) << 23);
  FloatPart result = p * low * high;
  result = too_small ? zero : result;
  result = too_large ? zero + __builtin_inff() : result;
  return not_a_number ? x : result;
}

// exp(x) within 1.5 units in the last place; exactly 1 at 0; results below the smallest normal are
// 0.
OCTAVO_INLINE F32x16 exp(const F32x16& x) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = exp_part(x.part[i]);
  return out;
}

}  // namespace
}  // namespace octavo

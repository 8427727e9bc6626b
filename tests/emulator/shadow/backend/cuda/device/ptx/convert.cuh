// Emulated conversions: the codecs of numerics/, and approximations that are exact to rounding.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_fp16.h>

#include <cmath>
#include <cstring>

#include "numerics/e4m3.h"

namespace octavo::device {

inline uint32_t encode_e4m3(float value) {
  return std::isnan(value) ? 0x7Fu : octavo::to_e4m3(value).bits;
}
inline uint32_t encode_e4m3x2(float low, float high) {
  return encode_e4m3(low) | encode_e4m3(high) << 8;
}

inline float decode_e4m3(uint8_t code) { return octavo::to_float(octavo::e4m3{code}); }
inline uint32_t decode_halves(uint32_t low, uint32_t high) {
  const __half2 halves = __floats2half2_rn(decode_e4m3(static_cast<uint8_t>(low)),
                                           decode_e4m3(static_cast<uint8_t>(high)));
  uint32_t bits = 0;
  std::memcpy(&bits, &halves, 4);
  return bits;
}
inline uint32_t decode_low_half2(uint32_t codes) { return decode_halves(codes, codes >> 8); }
inline uint32_t decode_high_half2(uint32_t codes) {
  return decode_halves(codes >> 16, codes >> 24);
}

inline float exp2_approximate(float value) { return std::exp2(value); }
inline float reciprocal_approximate(float value) { return value > 0x1p126f ? 0.0f : 1.0f / value; }

}  // namespace octavo::device

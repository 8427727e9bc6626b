// Conversions and approximations that have an instruction of their own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// Two E4M3 codes, `low` in the low byte: nearest even, saturating to ±448; every NaN becomes 0x7F.
__device__ __forceinline__ uint32_t encode_e4m3x2(float low, float high) {
  uint16_t codes;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(codes) : "f"(high), "f"(low));
  return codes;
}

// Exact: the two low codes of `codes` as half2, and the two high ones.
__device__ __forceinline__ uint32_t decode_low_half2(uint32_t codes) {
  uint32_t halves;
  asm("{\n .reg .b16 low, high;\n mov.b32 {low, high}, %1;\n"
      " cvt.rn.f16x2.e4m3x2 %0, low;\n}"
      : "=r"(halves)
      : "r"(codes));
  return halves;
}
__device__ __forceinline__ uint32_t decode_high_half2(uint32_t codes) {
  uint32_t halves;
  asm("{\n .reg .b16 low, high;\n mov.b32 {low, high}, %1;\n"
      " cvt.rn.f16x2.e4m3x2 %0, high;\n}"
      : "=r"(halves)
      : "r"(codes));
  return halves;
}

__device__ __forceinline__ float decode_e4m3(uint8_t code) {
  const uint32_t halves = decode_low_half2(code);
  float value;
  asm("{\n .reg .b16 low, high;\n mov.b32 {low, high}, %1;\n cvt.f32.f16 %0, low;\n}"
      : "=f"(value)
      : "r"(halves));
  return value;
}

// Within 2 ulp; 0 for -inf.
__device__ __forceinline__ float exp2_approximate(float value) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

// Within 1 ulp; 0 for values above 2^126.
__device__ __forceinline__ float reciprocal_approximate(float value) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

}  // namespace octavo::device

// Conversions on the device; the E4M3 encoder gives the bytes of numerics/e4m3.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "backend/cuda/device/ptx/convert.cuh"

namespace octavo::device {

struct e4m3_t {  // a code, as stored
  uint8_t bits;
};

__device__ __forceinline__ float to_float(float value) { return value; }
// By bits: the conversion instruction would make every NaN the same positive one.
__device__ __forceinline__ float to_float(__nv_bfloat16 value) {
  return __uint_as_float(static_cast<uint32_t>(__bfloat16_as_ushort(value)) << 16);
}

template <typename T>
__device__ __forceinline__ T round_to(float value);  // nearest even
template <>
__device__ __forceinline__ float round_to<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __nv_bfloat16 round_to<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// Four codes of values × inverse; every NaN becomes 0x7F.
__device__ __forceinline__ uint32_t encode_e4m3x4(const float* values, float inverse) {
  return encode_e4m3x2(values[0] * inverse, values[1] * inverse) |
         encode_e4m3x2(values[2] * inverse, values[3] * inverse) << 16;
}

// Four codes of values × inverse, which is positive. The codec keeps the sign of a NaN and the
// hardware drops it, so every code takes its sign from its value.
__device__ __forceinline__ uint32_t quantize_e4m3x4(const float* values, float inverse) {
  const uint32_t codes = encode_e4m3x4(values, inverse);
  const uint32_t low =  // the top bytes of two values
      __byte_perm(__float_as_uint(values[0]), __float_as_uint(values[1]), 0x0073);
  const uint32_t high = __byte_perm(__float_as_uint(values[2]), __float_as_uint(values[3]), 0x0073);
  const uint32_t signs = __byte_perm(low, high, 0x5410);
  return (codes & 0x7F7F7F7Fu) | (signs & 0x80808080u);
}

__device__ __forceinline__ e4m3_t quantize_e4m3(float value, float inverse) {
  const uint32_t code = encode_e4m3x2(value * inverse, 0.0f) & 0x7Fu;
  return {static_cast<uint8_t>(code | (__float_as_uint(value) >> 24 & 0x80u))};
}

__device__ __forceinline__ float to_float(e4m3_t value) { return decode_e4m3(value.bits); }

// 1 / scale, the reciprocal rounded once (numerics/scale.h).
__device__ __forceinline__ float inverse_scale(const float* scale) { return __frcp_rn(*scale); }

}  // namespace octavo::device

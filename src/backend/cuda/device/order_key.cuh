// Floats as integers of the same order, for searches and for maxima with their place.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// Negative values reversed below the positive ones, -0 as +0. Of no use for NaN.
__device__ __forceinline__ uint32_t order_key(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float from_order_key(uint32_t key) {
  return __uint_as_float((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// Orders by value, then the lower place first. kBadPlace is above all of them.
inline constexpr uint64_t kBadPlace = ~uint64_t{0};
__device__ __forceinline__ uint64_t place_key(float value, int32_t place) {
  return static_cast<uint64_t>(order_key(value)) << 32 | ~static_cast<uint32_t>(place);
}
__device__ __forceinline__ int32_t place_of(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}
__device__ __forceinline__ float value_of(uint64_t key) {
  return from_order_key(static_cast<uint32_t>(key >> 32));
}

}  // namespace octavo::device

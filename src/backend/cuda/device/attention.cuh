// What attention kernels share on the device: operand types, masks, the online softmax.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_fp16.h>

#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/mma.cuh"

namespace octavo::device {

inline constexpr float kLog2E = 1.4426950408889634f;

// The 16-bit type that products run in: E4M3 codes are exact as halves (q is first brought below 2
// by a power of two), bfloat16 stays what it is.
template <typename Cache>
struct Product;

template <>
struct Product<e4m3_t> {
  static constexpr bool kHalf = true;
  __device__ static uint32_t pack(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return reinterpret_cast<const uint32_t&>(pair);
  }
  __device__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_f16(d, a, b0, b1);
  }
};

template <>
struct Product<__nv_bfloat16> {
  static constexpr bool kHalf = false;
  __device__ static uint32_t pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<const uint32_t&>(pair);
  }
  __device__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_bf16(d, a, b0, b1);
  }
};

// A power of two that brings `largest` into [1, 2), and 1 for zero.
__device__ __forceinline__ float normalizer(float largest) {
  const uint32_t exponent = (__float_as_uint(largest) >> 23) & 0xFFu;
  return exponent == 0 || exponent > 253 ? 1.0f : __uint_as_float((254u - exponent) << 23);
}

__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 2));
}
__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
  return value + __shfl_xor_sync(0xFFFFFFFFu, value, 2);
}

// words[i] of lane j of each four and words[j] of lane i change places.
__device__ __forceinline__ void transpose_quad(uint32_t (&words)[4]) {
#pragma unroll
  for (int step = 1; step <= 2; step *= 2) {
    const bool upper = (threadIdx.x & step) != 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int first = step == 1 ? 2 * i : i;
      uint32_t& low = words[first];
      uint32_t& high = words[first + step];
      const uint32_t got = __shfl_xor_sync(0xFFFFFFFFu, upper ? low : high, step);
      low = upper ? got : low;
      high = upper ? high : got;
    }
  }
}

// exp2(value - largest) that is 0 where nothing was seen (both are -inf).
__device__ __forceinline__ float weight_of(float value, float largest) {
  return largest == -INFINITY ? 0.0f : exp2_approximate(value - largest);
}

// Keys [first, end) that the query at `position` sees.
struct KeyRange {
  int first, end;
};
__device__ __forceinline__ KeyRange visible_keys(int position, int64_t window) {
  const int64_t first = window > 0 ? position + 1 - window : 0;
  return {first > 0 ? static_cast<int>(first) : 0, position + 1};
}

}  // namespace octavo::device

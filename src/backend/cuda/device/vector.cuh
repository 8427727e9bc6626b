// Short vectors of elements: loaded and stored whole, computed on as floats.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/numerics.cuh"

namespace octavo::device {

// N elements moved in one access of up to 16 bytes (two for 8 floats).
template <typename T, int N>
struct alignas(sizeof(T) * N > 16 ? 16 : sizeof(T) * N) Vec {
  T values[N];
};

template <int N, typename T>
__device__ __forceinline__ void load_floats(float (&to)[N], const T* from) {
  const Vec<T, N> vec = *reinterpret_cast<const Vec<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = to_float(vec.values[i]);
}

// Rounds to T, in pairs: the conversion of two is a quarter of the cost of two conversions.
template <typename T, int N>
__device__ __forceinline__ Vec<T, N> round_all(const float (&from)[N]) {
  Vec<T, N> vec;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(from[i], from[i + 1]);
      vec.values[i] = pair.x;
      vec.values[i + 1] = pair.y;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) vec.values[i] = round_to<T>(from[i]);
  }
  return vec;
}

template <int N, typename T>
__device__ __forceinline__ void store_floats(T* to, const float (&from)[N]) {
  *reinterpret_cast<Vec<T, N>*>(to) = round_all<T>(from);
}

// Values are rounded to the activation type T first, then multiplied and encoded: the bytes of the
// op followed by quantize.
template <typename T, int N>
__device__ __forceinline__ void store_codes(e4m3_t* to, const float (&from)[N], float inverse) {
  const Vec<T, N> rounded = round_all<T>(from);
  float values[N];
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = to_float(rounded.values[i]);
  if constexpr (N == 1) {
    *to = quantize_e4m3(values[0], inverse);
  } else {
    static_assert(N % 4 == 0);
    Vec<uint32_t, N / 4> packed;
#pragma unroll
    for (int i = 0; i < N / 4; ++i) packed.values[i] = quantize_e4m3x4(values + 4 * i, inverse);
    *reinterpret_cast<Vec<uint32_t, N / 4>*>(to) = packed;
  }
}

// Stores as the output type: rounded, or as codes of T-rounded values.
template <typename T, int N>
__device__ __forceinline__ void store_as(T* to, const float (&from)[N], float /*inverse*/) {
  store_floats<N>(to, from);
}
template <typename T, int N>
__device__ __forceinline__ void store_as(e4m3_t* to, const float (&from)[N], float inverse) {
  store_codes<T, N>(to, from, inverse);
}

}  // namespace octavo::device

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
__device__ __forceinline__ Vec<T, N> load_vec(const T* from) {
  return *reinterpret_cast<const Vec<T, N>*>(from);
}

// By bits, one instruction an element.
template <typename T, int N>
__device__ __forceinline__ void to_floats(float (&to)[N], const Vec<T, N>& vec) {
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
    const auto* pairs = reinterpret_cast<const uint32_t*>(&vec);
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      to[i] = __uint_as_float(pairs[i / 2] << 16);
      to[i + 1] = __uint_as_float(pairs[i / 2] & 0xFFFF0000u);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = to_float(vec.values[i]);
  }
}

template <int N, typename T>
__device__ __forceinline__ void load_floats(float (&to)[N], const T* from) {
  to_floats(to, load_vec<N>(from));
}

// Sums, rounded to T once. In pairs where T has 16 bits: a float sum of two bfloat16 values is
// either exact or too far from a tie to be rounded to another bfloat16 than the exact sum.
template <typename T, int N>
__device__ __forceinline__ Vec<T, N> add_rounded(const Vec<T, N>& a, const Vec<T, N>& b) {
  Vec<T, N> sum;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
    const auto* a2 = reinterpret_cast<const __nv_bfloat162*>(&a);
    const auto* b2 = reinterpret_cast<const __nv_bfloat162*>(&b);
    auto* sum2 = reinterpret_cast<__nv_bfloat162*>(&sum);
#pragma unroll
    for (int i = 0; i < N / 2; ++i) sum2[i] = __hadd2_rn(a2[i], b2[i]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      sum.values[i] = round_to<T>(to_float(a.values[i]) + to_float(b.values[i]));
  }
  return sum;
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
  float values[N];
  to_floats(values, round_all<T>(from));
  if constexpr (N == 1) {
    *to = quantize_e4m3(values[0], inverse);
  } else {
    static_assert(N % 4 == 0);
    Vec<uint32_t, N / 4> packed;
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      // Rounding to bfloat16 leaves positive NaN only, which is what the hardware makes of them.
      packed.values[i] = sizeof(T) == 2 ? encode_e4m3x4(values + 4 * i, inverse)
                                        : quantize_e4m3x4(values + 4 * i, inverse);
    }
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

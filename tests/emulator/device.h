// What nvcc declares by itself, for device code that a C++ compiler compiles: force-included.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "machine.h"

#undef __device__
#undef __host__
#undef __global__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#undef __align__
#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)
#define __CUDA_ARCH__ 900

#define threadIdx (::octavo::emulator::thread_index())
#define blockIdx (::octavo::emulator::thread().cta->block)
#define blockDim (::octavo::emulator::block_size())
#define gridDim (::octavo::emulator::cluster().grid.blocks)

namespace octavo::emulator {

inline Index3 thread_index() { return {static_cast<unsigned>(thread().index), 0, 0}; }
inline Index3 block_size() { return {static_cast<unsigned>(cluster().grid.threads), 1, 1}; }

template <typename T>
uint64_t bits(const T& value) {
  static_assert(sizeof(T) <= 8);
  uint64_t all = 0;
  std::memcpy(&all, &value, sizeof(T));
  return all;
}
template <typename T>
T from_bits(uint64_t all) {
  T value;
  std::memcpy(&value, &all, sizeof(T));
  return value;
}

// The value of lane `source(lane)`, or its own where that is none.
template <typename T, typename Source>
T shuffle(uint32_t mask, const T& value, Source source) {
  const auto& values = exchange(mask, bits(value));
  const int from = source(thread().lane());
  return from < 0 ? value : from_bits<T>(values[static_cast<size_t>(from)]);
}

template <typename T, typename Fold>
T fold(uint32_t mask, const T& value, Fold with) {
  const auto values = exchange(mask, bits(value));
  T result = value;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lane != thread().lane() && (mask >> lane & 1) != 0)
      result = with(result, from_bits<T>(values[static_cast<size_t>(lane)]));
  }
  return result;
}

}  // namespace octavo::emulator

inline void __syncthreads() { octavo::emulator::block_barrier(); }
inline int __syncthreads_and(int value) {
  using namespace octavo::emulator;
  int& all = *reinterpret_cast<int*>(shared_variable(0xFFFFFFu, sizeof(int)));
  __syncthreads();
  all = 1;
  __syncthreads();
  if (value == 0) all = 0;
  __syncthreads();
  return all;
}
inline void __syncwarp(uint32_t mask = 0xFFFFFFFFu) { octavo::emulator::exchange(mask, 0); }
inline void __nanosleep(unsigned) { octavo::emulator::yield(); }
inline void __threadfence() {}
inline void __threadfence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() {}

template <typename T>
T __shfl_sync(uint32_t mask, T value, int source, int width = 32) {
  return octavo::emulator::shuffle(
      mask, value, [&](int lane) { return lane / width * width + (source & (width - 1)); });
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int lanes, int width = 32) {
  return octavo::emulator::shuffle(mask, value, [&](int lane) {
    return (lane ^ lanes) / width == lane / width ? lane ^ lanes : -1;
  });
}
template <typename T>
T __shfl_up_sync(uint32_t mask, T value, unsigned lanes, int width = 32) {
  return octavo::emulator::shuffle(mask, value, [&](int lane) {
    const int from = lane - static_cast<int>(lanes);
    return from >= lane / width * width ? from : -1;
  });
}
template <typename T>
T __shfl_down_sync(uint32_t mask, T value, unsigned lanes, int width = 32) {
  return octavo::emulator::shuffle(mask, value, [&](int lane) {
    const int from = lane + static_cast<int>(lanes);
    return from < (lane / width + 1) * width ? from : -1;
  });
}
inline uint32_t __ballot_sync(uint32_t mask, int value) {
  const uint32_t own = value != 0 ? 1u << octavo::emulator::thread().lane() : 0;
  return octavo::emulator::fold(mask, own, [](uint32_t a, uint32_t b) { return a | b; });
}
inline int __any_sync(uint32_t mask, int value) { return __ballot_sync(mask, value) != 0; }
inline int __all_sync(uint32_t mask, int value) { return __ballot_sync(mask, value == 0) == 0; }
inline uint32_t __activemask() { return 0xFFFFFFFFu; }
template <typename T>
uint32_t __match_any_sync(uint32_t mask, T value) {
  const auto& values = octavo::emulator::exchange(mask, octavo::emulator::bits(value));
  uint32_t same = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) != 0 && values[lane] == octavo::emulator::bits(value))
      same |= 1u << lane;
  }
  return same;
}
template <typename T>
T __reduce_add_sync(uint32_t mask, T value) {
  return octavo::emulator::fold(mask, value, [](T a, T b) { return a + b; });
}
template <typename T>
T __reduce_max_sync(uint32_t mask, T value) {
  return octavo::emulator::fold(mask, value, [](T a, T b) { return a < b ? b : a; });
}
template <typename T>
T __reduce_min_sync(uint32_t mask, T value) {
  return octavo::emulator::fold(mask, value, [](T a, T b) { return b < a ? b : a; });
}
template <typename T>
T __reduce_or_sync(uint32_t mask, T value) {
  return octavo::emulator::fold(mask, value, [](T a, T b) { return a | b; });
}

inline int __popc(uint32_t value) { return std::popcount(value); }
inline int __popcll(uint64_t value) { return std::popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __clz(int value) { return std::countl_zero(static_cast<uint32_t>(value)); }
// The position of the `offset`-th set bit from `base` up.
inline uint32_t __fns(uint32_t mask, uint32_t base, int offset) {
  for (uint32_t bit = base; bit < 32; ++bit) {
    if ((mask >> bit & 1) != 0 && --offset == 0) return bit;
  }
  return 0xFFFFFFFFu;
}
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i)
    result |= static_cast<uint32_t>(bytes >> (selector >> 4 * i & 7) * 8 & 0xFF) << 8 * i;
  return result;
}
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline float __uint_as_float(uint32_t value) { return std::bit_cast<float>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline float __int_as_float(int value) { return std::bit_cast<float>(value); }
inline float __frcp_rn(float value) { return 1.0f / value; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __expf(float value) { return std::exp(value); }
inline float __logf(float value) { return std::log(value); }
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }
inline double rsqrt(double value) { return 1.0 / std::sqrt(value); }
template <typename T>
T __ldg(const T* address) {
  return *address;
}

template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}
inline float atomicAdd(float* address, float value) {
  return std::exchange(*address, *address + value);
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_or(address, value, __ATOMIC_SEQ_CST);
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return std::exchange(*address, *address < value ? value : *address);
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return std::exchange(*address, value < *address ? value : *address);
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}

#define OCTAVO_MIN_MAX(T)                          \
  inline T min(T a, T b) { return b < a ? b : a; } \
  inline T max(T a, T b) { return a < b ? b : a; }
OCTAVO_MIN_MAX(int)
OCTAVO_MIN_MAX(unsigned)
OCTAVO_MIN_MAX(long)
OCTAVO_MIN_MAX(unsigned long)
OCTAVO_MIN_MAX(long long)
OCTAVO_MIN_MAX(unsigned long long)
#undef OCTAVO_MIN_MAX
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }

template <typename T>
cudaError_t cudaFuncSetAttribute(T* entry, cudaFuncAttribute attribute, int value) {
  return ::cudaFuncSetAttribute(reinterpret_cast<const void*>(entry), attribute, value);
}

// Sixteen float32 lanes, as wide as the instruction set that the including file is compiled for.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: one meaning on every instruction set. All sums run over sixteen lanes and all fused
// multiply-adds are real ones, so the variants give the same bits. Only vector_ops_*.cc include
// this; nothing here may have external linkage, or the linker could hand AVX code to a CPU without
// it.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace octavo {
namespace {

#if defined(__AVX512F__)
constexpr int kParts = 1;
#elif defined(__AVX2__)
constexpr int kParts = 2;
#else
constexpr int kParts = 4;
#endif
constexpr int kLanes = 16;
constexpr int kPartLanes = kLanes / kParts;

#define OCTAVO_INLINE inline __attribute__((always_inline))

typedef float FloatPart __attribute__((vector_size(64 / kParts)));
typedef int32_t IntPart __attribute__((vector_size(64 / kParts)));

struct F32x16 {
  FloatPart part[kParts];
};

OCTAVO_INLINE F32x16 broadcast(float value) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = FloatPart{} + value;
  return out;
}

OCTAVO_INLINE F32x16 load(const float* from) {
  F32x16 out;
  __builtin_memcpy(&out, from, sizeof(out));
  return out;
}

OCTAVO_INLINE float first_lane(const F32x16& value) { return value.part[0][0]; }

OCTAVO_INLINE void store(float* to, const F32x16& value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

// The first `count` lanes; the others are zero.
OCTAVO_INLINE F32x16 load_part(const float* from, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
}

OCTAVO_INLINE void store_part(float* to, const F32x16& value, int64_t count) {
  float lanes[kLanes];
  store(lanes, value);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

OCTAVO_INLINE F32x16 operator+(const F32x16& a, const F32x16& b) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = a.part[i] + b.part[i];
  return out;
}

OCTAVO_INLINE F32x16 operator-(const F32x16& a, const F32x16& b) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = a.part[i] - b.part[i];
  return out;
}

OCTAVO_INLINE F32x16 operator*(const F32x16& a, const F32x16& b) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = a.part[i] * b.part[i];
  return out;
}

OCTAVO_INLINE F32x16 operator/(const F32x16& a, const F32x16& b) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = a.part[i] / b.part[i];
  return out;
}

OCTAVO_INLINE FloatPart fma_part(FloatPart a, FloatPart b, FloatPart c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  FloatPart out;
  for (int i = 0; i < kPartLanes; ++i) out[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return out;
#endif
}

// a × b + c, rounded once.
OCTAVO_INLINE F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = fma_part(a.part[i], b.part[i], c.part[i]);
  return out;
}

// a where a > b, else b: a NaN in b stays, a NaN in a is dropped.
OCTAVO_INLINE F32x16 larger(const F32x16& a, const F32x16& b) {
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i];
  return out;
}

// Sum of the lanes, folded by halves: lane i + lane i + 8, then + 4, + 2, + 1.
OCTAVO_INLINE float sum_lanes(const F32x16& value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

OCTAVO_INLINE float largest_lane(const F32x16& value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
    }
  }
  return lanes[0];
}

}  // namespace
}  // namespace octavo

// Sixteen float32 lanes, as wide as the instruction set that the including file is compiled for.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: one meaning on every instruction set. All sums run over sixteen lanes and all fused
// multiply-adds are real ones, so the variants give the same bits. Only vector_ops_*.cc include
// this; nothing here may have external linkage, or the linker could hand AVX code to a CPU without
// it.
#pragma once

#include <cstdint>
#include <utility>

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

// Lanes that `take_halves` takes of two vectors of groups of `width` lanes: the first (or second)
// half of every group of a, then of b.
constexpr int half_lane(int lane, int width, int half) {
  const int group = lane / (width / 2);
  return group * width + half * (width / 2) + lane % (width / 2);
}

template <int kWidth, int kHalf, int... kLane>
OCTAVO_INLINE FloatPart take_halves(FloatPart a, FloatPart b,
                                    std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, half_lane(kLane, kWidth, kHalf)...);
}

// Adds the second half of every group of kWidth lanes to its first half, for the groups of a, then
// those of b.
template <int kWidth>
OCTAVO_INLINE FloatPart fold_pair(FloatPart a, FloatPart b) {
  constexpr auto kAll = std::make_integer_sequence<int, kPartLanes>();
  return take_halves<kWidth, 0>(a, b, kAll) + take_halves<kWidth, 1>(a, b, kAll);
}

// Lane i + lane i + 8, then + 4, as far as whole parts are added.
OCTAVO_INLINE FloatPart fold_parts(const F32x16& value) {
  F32x16 out = value;
  for (int half = kParts / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) out.part[i] = out.part[i] + out.part[i + half];
  }
  return out.part[0];
}

// folded[0, kCount) of groups of kWidth lanes become kCount / 2 of half the width.
template <int kWidth, int kCount>
OCTAVO_INLINE void fold_all(FloatPart* folded) {
  if constexpr (kWidth > 1) {
    for (int i = 0; i < kCount / 2; ++i)
      folded[i] = fold_pair<kWidth>(folded[2 * i], folded[2 * i + 1]);
    fold_all<kWidth / 2, kCount / 2>(folded);
  }
}

// Lane k is the sum of the lanes of values[k], whose parts are folded already: sixteen sums at once
// with the additions of sum_lanes.
OCTAVO_INLINE F32x16 sum_lanes_of_sixteen(FloatPart* folded) {
  fold_all<kPartLanes, kLanes>(folded);
  F32x16 out;
  for (int i = 0; i < kParts; ++i) out.part[i] = folded[i];
  return out;
}

// Sum of the lanes, folded by halves: lane i + lane i + 8, then + 4, + 2, + 1.
template <int kWidth = kPartLanes>
OCTAVO_INLINE float fold_lanes(FloatPart value) {
  if constexpr (kWidth == 1) {
    return value[0];
  } else {
    return fold_lanes<kWidth / 2>(fold_pair<kWidth>(value, value));
  }
}

OCTAVO_INLINE float sum_lanes(const F32x16& value) { return fold_lanes(fold_parts(value)); }

template <int kWidth = kPartLanes>
OCTAVO_INLINE float largest_of(FloatPart value) {
  if constexpr (kWidth == 1) {
    return value[0];
  } else {
    constexpr auto kAll = std::make_integer_sequence<int, kPartLanes>();
    const FloatPart first = take_halves<kWidth, 0>(value, value, kAll);
    const FloatPart second = take_halves<kWidth, 1>(value, value, kAll);
    return largest_of<kWidth / 2>(first > second ? first : second);
  }
}

OCTAVO_INLINE float largest_lane(const F32x16& value) {
  FloatPart out = value.part[0];
  for (int i = 1; i < kParts; ++i) out = out > value.part[i] ? out : value.part[i];
  return largest_of(out);
}

}  // namespace
}  // namespace octavo

// AVX512-BF16 as an `Isa` of gemm_loops.h: steps of 32 bfloat16, products in pairs.
// SPDX-License-Identifier: Apache-2.0
//
// Included after gemm_loops.h by the files whose target has these instructions.
#ifndef OCTAVO_GEMM_TARGET
#error "gemm_bf16_isa.h: define OCTAVO_GEMM_TARGET first"
#endif
#pragma once

#include <array>

#include "backend/cpu/gemm_loops.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

// Bytes of the bfloat16 of every magnitude code: the low bytes, then the high ones.
struct alignas(64) E4M3Bytes {
  std::array<uint8_t, 128> low;
  std::array<uint8_t, 128> high;
};

constexpr E4M3Bytes make_bytes() {
  E4M3Bytes bytes{};
  for (int code = 0; code < 128; ++code) {
    const uint16_t bits = to_bf16(to_float(e4m3{static_cast<uint8_t>(code)})).bits;
    bytes.low[code] = static_cast<uint8_t>(bits);
    bytes.high[code] = static_cast<uint8_t>(bits >> 8);
  }
  return bytes;
}

constexpr E4M3Bytes kBytes = make_bytes();

struct alignas(64) Indices {
  std::array<uint8_t, 64> values;
};

// Bytes of 32 elements from `first` on, of two registers: low bytes (0 … 63) and high ones (64 …).
constexpr Indices make_interleave(int first) {
  Indices indices{};
  for (int i = 0; i < 64; ++i) {
    indices.values[i] = static_cast<uint8_t>(first + i / 2 + (i % 2 == 1 ? 64 : 0));
  }
  return indices;
}

constexpr Indices kInterleave[2] = {make_interleave(0), make_interleave(32)};

struct Bf16Isa {
  using Element = uint16_t;
  using Packed = __m512i;
  using Accumulator = __m512;
  struct Pair {
    Packed first;
    Packed second;
  };
  static constexpr int kStep = 32;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 3;
  static constexpr int kTileColumns = 8;

  OCTAVO_INLINE Packed load(const Element* in) { return _mm512_loadu_si512(in); }
  OCTAVO_INLINE void store(Element* out, Packed value) { _mm512_storeu_si512(out, value); }

  OCTAVO_INLINE Pair decode_pair(const bf16* in) {
    return {_mm512_loadu_si512(in), _mm512_loadu_si512(in + kStep)};
  }
  OCTAVO_INLINE Pair decode_pair(const bf16* in, int64_t count) {
    const uint64_t mask = first(count);
    return {_mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask), in),
            _mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask >> 32), in + kStep)};
  }
  OCTAVO_INLINE Pair decode_pair(const e4m3* in) { return decode_codes(_mm512_loadu_si512(in)); }
  OCTAVO_INLINE Pair decode_pair(const e4m3* in, int64_t count) {
    return decode_codes(_mm512_maskz_loadu_epi8(first(count), in));
  }

  OCTAVO_INLINE Accumulator zero() { return _mm512_setzero_ps(); }
  OCTAVO_INLINE Accumulator load_lanes(const float* lanes) { return _mm512_load_ps(lanes); }
  OCTAVO_INLINE void store_lanes(float* lanes, Accumulator sum) { _mm512_store_ps(lanes, sum); }
  OCTAVO_INLINE Accumulator multiply_add(Packed x, Packed weight, Accumulator sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)weight);
  }
  OCTAVO_INLINE float sum(const float* lanes) {
    const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  // Bits of the first `count` of 64 elements; count < 64.
  OCTAVO_INLINE uint64_t first(int64_t count) { return (uint64_t{1} << count) - 1; }

  // Two table look-ups by the seven magnitude bits give low and high bytes; the high ones take the
  // sign; two permutations put them side by side.
  OCTAVO_INLINE Pair decode_codes(__m512i codes) {
    const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(kBytes.low.data()), codes,
                                                 _mm512_load_si512(kBytes.low.data() + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(kBytes.high.data()), codes,
                                                  _mm512_load_si512(kBytes.high.data() + 64));
    // high | (codes & sign)
    const __m512i with_sign = _mm512_ternarylogic_epi32(high, codes, _mm512_set1_epi8(-0x80), 0xF8);
    return {_mm512_permutex2var_epi8(low, _mm512_load_si512(&kInterleave[0]), with_sign),
            _mm512_permutex2var_epi8(low, _mm512_load_si512(&kInterleave[1]), with_sign)};
  }
};

}  // namespace
}  // namespace octavo

// Matrix multiplication with AVX-512 in float32.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/gemm.h"

#if OCTAVO_X86_64
#include <array>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"

#define OCTAVO_GEMM_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")))
#include "backend/cpu/gemm_loops.h"

namespace octavo {
namespace {

struct Isa {
  using Element = float;
  using Packed = __m512;
  using Accumulator = __m512;
  struct Pair {
    Packed first;
    Packed second;
  };
  static constexpr int kStep = 16;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 3;
  static constexpr int kTileColumns = 8;

  OCTAVO_INLINE Packed load(const Element* in) { return _mm512_loadu_ps(in); }
  OCTAVO_INLINE void store(Element* out, Packed value) { _mm512_storeu_ps(out, value); }

  OCTAVO_INLINE Packed decode(const float* in) { return _mm512_loadu_ps(in); }
  OCTAVO_INLINE Packed decode(const float* in, int64_t count) {
    return _mm512_maskz_loadu_ps(first(count), in);
  }
  OCTAVO_INLINE Packed decode(const bf16* in) {
    return decode_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
  }
  OCTAVO_INLINE Packed decode(const bf16* in, int64_t count) {
    return decode_bf16(_mm256_maskz_loadu_epi16(first(count), in));
  }
  OCTAVO_INLINE Packed decode(const e4m3* in) {
    return decode_e4m3(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
  }
  OCTAVO_INLINE Packed decode(const e4m3* in, int64_t count) {
    return decode_e4m3(_mm_maskz_loadu_epi8(first(count), in));
  }

  template <typename T>
  OCTAVO_INLINE Pair decode_pair(const T* in) {
    return {decode(in), decode(in + kStep)};
  }
  template <typename T>
  OCTAVO_INLINE Pair decode_pair(const T* in, int64_t count) {
    if (count <= kStep) return {decode(in, count), decode(in, 0)};
    return {decode(in), decode(in + kStep, count - kStep)};
  }

  OCTAVO_INLINE Accumulator zero() { return _mm512_setzero_ps(); }
  OCTAVO_INLINE Accumulator load_lanes(const float* lanes) { return _mm512_load_ps(lanes); }
  OCTAVO_INLINE void store_lanes(float* lanes, Accumulator sum) { _mm512_store_ps(lanes, sum); }
  OCTAVO_INLINE Accumulator multiply_add(Packed x, Packed weight, Accumulator sum) {
    return _mm512_fmadd_ps(x, weight, sum);
  }
  OCTAVO_INLINE float sum(const float* lanes) {
    const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  OCTAVO_INLINE __mmask16 first(int64_t count) {
    return static_cast<__mmask16>((uint32_t{1} << count) - 1);
  }

  OCTAVO_INLINE Packed decode_bf16(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }

  // Shifted to the fields of binary16, whose bias is larger by 8, a code is its value / 256,
  // subnormals too; only the NaN code needs care.
  OCTAVO_INLINE Packed decode_e4m3(__m128i codes) {
    const __m256i wide = _mm256_cvtepu8_epi16(codes);
    const __m256i magnitude = _mm256_and_si256(wide, _mm256_set1_epi16(0x7F));
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(wide, _mm256_set1_epi16(0x80)), 8);
    const __m256i half = _mm256_or_si256(_mm256_slli_epi16(magnitude, 7), sign);
    const __m512 value = _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0f));
    const __mmask16 nan = _mm256_cmpeq_epi16_mask(magnitude, _mm256_set1_epi16(kE4M3NaN));
    return _mm512_mask_blend_ps(nan, value, _mm512_set1_ps(__builtin_nanf("")));
  }
};

constexpr std::array<GemmSource, 3> kSources = {source_of<Isa, float>(DType::kF32),
                                                source_of<Isa, bf16>(DType::kBF16),
                                                source_of<Isa, e4m3>(DType::kE4M3)};

}  // namespace

constexpr GemmCore kGemmAvx512 = core_of<Isa>(CpuLevel::kAvx512, kSources);

}  // namespace octavo
#endif

// Matrix multiplication with AVX2, FMA and F16C in float32.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/gemm.h"

#if OCTAVO_X86_64
#include <array>
#include <cstring>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"

#define OCTAVO_GEMM_TARGET __attribute__((target("avx2,fma,f16c")))
#include "backend/cpu/gemm_loops.h"

namespace octavo {
namespace {

struct Isa {
  using Element = float;
  using Packed = __m256;
  using Accumulator = __m256;
  struct Pair {
    Packed first;
    Packed second;
  };
  static constexpr int kStep = 8;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 3;
  static constexpr int kTileColumns = 4;  // 12 sums leave 4 of the 16 registers

  OCTAVO_INLINE Packed load(const Element* in) { return _mm256_loadu_ps(in); }
  OCTAVO_INLINE void store(Element* out, Packed value) { _mm256_storeu_ps(out, value); }

  OCTAVO_INLINE Packed decode(const float* in) { return _mm256_loadu_ps(in); }
  OCTAVO_INLINE Packed decode(const bf16* in) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // As in gemm_avx512.cc: the code as binary16 is its value / 256.
  OCTAVO_INLINE Packed decode(const e4m3* in) {
    const __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in)));
    const __m128i magnitude = _mm_and_si128(wide, _mm_set1_epi16(0x7F));
    const __m128i sign = _mm_slli_epi16(_mm_and_si128(wide, _mm_set1_epi16(0x80)), 8);
    const __m128i half = _mm_or_si128(_mm_slli_epi16(magnitude, 7), sign);
    const __m256 value = _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f));
    const __m128i nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(kE4M3NaN));
    // All ones are a NaN.
    return _mm256_or_ps(value, _mm256_castsi256_ps(_mm256_cvtepi16_epi32(nan)));
  }
  template <typename T>
  OCTAVO_INLINE Packed decode(const T* in, int64_t count) {
    T whole[kStep] = {};
    std::memcpy(whole, in, count * sizeof(T));
    return decode(whole);
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

  OCTAVO_INLINE Accumulator zero() { return _mm256_setzero_ps(); }
  OCTAVO_INLINE Accumulator load_lanes(const float* lanes) { return _mm256_load_ps(lanes); }
  OCTAVO_INLINE void store_lanes(float* lanes, Accumulator sum) { _mm256_store_ps(lanes, sum); }
  OCTAVO_INLINE Accumulator multiply_add(Packed x, Packed weight, Accumulator sum) {
    return _mm256_fmadd_ps(x, weight, sum);
  }
  OCTAVO_INLINE float sum(const float* lanes) {
    const __m128 four = _mm_add_ps(_mm_load_ps(lanes), _mm_load_ps(lanes + 4));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

constexpr std::array<GemmSource, 3> kSources = {source_of<Isa, float>(DType::kF32),
                                                source_of<Isa, bf16>(DType::kBF16),
                                                source_of<Isa, e4m3>(DType::kE4M3)};

}  // namespace

constexpr GemmCore kGemmAvx2 = core_of<Isa>(CpuLevel::kAvx2, kSources);

}  // namespace octavo
#endif

// Matrix multiplication with AVX512-BF16: bfloat16 products in pairs, float32 sums.
// SPDX-License-Identifier: Apache-2.0
//
// VDPBF16PS treats subnormal inputs as zero and flushes subnormal results to zero. No E4M3 code is
// a subnormal bfloat16; of bfloat16 data only magnitudes below 2^-126 are lost.
#include "backend/cpu/gemm.h"

#if OCTAVO_X86_64
#define OCTAVO_GEMM_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16")))
#include "backend/cpu/gemm_bf16_isa.h"

namespace octavo {
namespace {

constexpr std::array<GemmSource, 2> kSources = {source_of<Bf16Isa, bf16>(DType::kBF16),
                                                source_of<Bf16Isa, e4m3>(DType::kE4M3)};

}  // namespace

constexpr GemmCore kGemmAvx512Bf16 = core_of<Bf16Isa>(CpuLevel::kAvx512Bf16, kSources);

}  // namespace octavo
#endif

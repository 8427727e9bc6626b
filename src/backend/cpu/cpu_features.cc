// Detection of instruction sets; the compiler's runtime also asks whether the system saves the
// registers.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_features.h"

#include <algorithm>
#include <atomic>

#if OCTAVO_X86_64
#include <cpuid.h>
#endif

namespace octavo {
namespace {

std::atomic<CpuLevel> limit{CpuLevel::kAvx512Bf16};

#if OCTAVO_X86_64
// Clang 14's __builtin_cpu_supports does not know F16C; its registers are AVX's.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

CpuLevel detect() {
#if OCTAVO_X86_64
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (!avx2) return CpuLevel::kScalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!avx512) return CpuLevel::kAvx2;
  const bool bf16 = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi");
  return bf16 ? CpuLevel::kAvx512Bf16 : CpuLevel::kAvx512;
#else
  return CpuLevel::kScalar;
#endif
}

}  // namespace

std::string_view to_string(CpuLevel level) {
  switch (level) {
    case CpuLevel::kScalar:
      return "scalar";
    case CpuLevel::kAvx2:
      return "AVX2";
    case CpuLevel::kAvx512:
      return "AVX-512";
    case CpuLevel::kAvx512Bf16:
      return "AVX512-BF16";
  }
  return "";
}

CpuLevel detected_cpu_level() {
  static const CpuLevel level = detect();
  return level;
}

CpuLevel cpu_level() {
  return std::min(detected_cpu_level(), limit.load(std::memory_order_relaxed));
}

CpuLevelLimit::CpuLevelLimit(CpuLevel highest) { limit.store(highest); }
CpuLevelLimit::~CpuLevelLimit() { limit.store(CpuLevel::kAvx512Bf16); }

}  // namespace octavo

// Detection of instruction sets; the compiler's runtime also asks whether the system saves the
// registers.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_features.h"

#include <algorithm>
#include <atomic>

#if OCTAVO_X86_64
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace octavo {
namespace {

std::atomic<CpuLevel> limit{CpuLevel::kAmx};

#if OCTAVO_X86_64
// Clang 14's __builtin_cpu_supports does not know F16C; its registers are AVX's.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// Tiles are large, so that Linux saves them only for a process that has asked; threads that start
// later, and those that run, have the same leave. It refuses where the CPU or a hypervisor hides
// tiles.
bool may_use_tiles() {
#ifdef __linux__
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool has_amx() {
  constexpr unsigned kBf16 = 1u << 22;
  constexpr unsigned kTile = 1u << 24;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & kBf16) != 0 && (edx & kTile) != 0 && may_use_tiles();
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
  if (!bf16) return CpuLevel::kAvx512;
  return has_amx() ? CpuLevel::kAmx : CpuLevel::kAvx512Bf16;
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
    case CpuLevel::kAmx:
      return "AMX";
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
CpuLevelLimit::~CpuLevelLimit() { limit.store(CpuLevel::kAmx); }

}  // namespace octavo

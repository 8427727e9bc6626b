// Instruction sets of the CPU that this process runs on, found at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

// The one guard of x86 code: kernels written with intrinsics are compiled only where it is 1, each
// function for its own instruction set, so that one library runs on any x86-64 CPU.
#if defined(__x86_64__)
#define OCTAVO_X86_64 1
#else
#define OCTAVO_X86_64 0
#endif

namespace octavo {

// Each level includes those before it.
enum class CpuLevel : uint8_t {
  kScalar,      // what the compiler makes of plain C++
  kAvx2,        // AVX2, FMA, F16C
  kAvx512,      // AVX-512 F, BW, DQ, VL
  kAvx512Bf16,  // AVX512_BF16 and VBMI
  kAmx,         // AMX_TILE, AMX_BF16, and the system's leave to use tiles
};
std::string_view to_string(CpuLevel level);

// What the CPU and its operating system offer.
CpuLevel detected_cpu_level();
// The level that kernels may use: the detected one, or a lower one while a limit stands.
CpuLevel cpu_level();

// Lowers `cpu_level` while it lives, so that tests reach the paths of other CPUs. Limits are of the
// whole process and do not nest.
class CpuLevelLimit {
 public:
  explicit CpuLevelLimit(CpuLevel highest);
  ~CpuLevelLimit();
  CpuLevelLimit(const CpuLevelLimit&) = delete;
  CpuLevelLimit& operator=(const CpuLevelLimit&) = delete;
};

}  // namespace octavo

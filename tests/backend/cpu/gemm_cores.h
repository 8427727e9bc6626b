// The matrix multiplication cores that this CPU runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cpu/gemm.h"

namespace octavo {

inline std::vector<const GemmCore*> cores() {
  std::vector<const GemmCore*> found;
#if OCTAVO_X86_64
  for (const GemmCore* core : {&kGemmAvx512Bf16, &kGemmAvx512, &kGemmAvx2}) {
    if (cpu_level() >= core->level) found.push_back(core);
  }
#endif
  return found;
}

}  // namespace octavo

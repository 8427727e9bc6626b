// The matrix multiplication cores that this CPU runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <vector>

#include "backend/cpu/gemm.h"

namespace octavo {

inline std::vector<const GemmCore*> cores() {
  std::vector<const GemmCore*> found;
#if OCTAVO_X86_64
  for (const GemmCore* core : {&kGemmAmx, &kGemmAvx512Bf16, &kGemmAvx512, &kGemmAvx2}) {
    if (cpu_level() >= core->level) {
      found.push_back(core);
    } else {
      fmt::print(stderr, "skipped: {}, this CPU offers {}\n", to_string(core->level),
                 to_string(cpu_level()));
    }
  }
#endif
  return found;
}

}  // namespace octavo

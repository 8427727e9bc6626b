// The table of the CPU backend's kernels.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/kernels.h"

#include <vector>

#include "backend/cpu/op_kernels.h"

namespace octavo {

std::span<const Kernel> cpu_kernels() {
  static const std::vector<Kernel> table = {
      kCpuEmbedding, kCpuRmsNorm,      kCpuAdd,       kCpuAddRmsNorm, kCpuQuantize,   kCpuRope,
      kCpuKvAppend,  kCpuRopeKvAppend, kCpuAttention, kCpuSwiglu,     kCpuGatherRows,
  };
  return table;
}

}  // namespace octavo

// The table of the CPU backend's kernels.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/kernels.h"

#include <vector>

#include "backend/cpu/linear.h"
#include "backend/cpu/op_kernels.h"

namespace octavo {

std::span<const Kernel> cpu_kernels() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> kernels = {
        kCpuEmbedding, kCpuRmsNorm,      kCpuAdd,       kCpuAddRmsNorm, kCpuQuantize,   kCpuRope,
        kCpuKvAppend,  kCpuRopeKvAppend, kCpuAttention, kCpuSwiglu,     kCpuGatherRows,
    };
    const std::span<const Kernel> linears = linear_kernels();
    kernels.insert(kernels.end(), linears.begin(), linears.end());
    return kernels;
  }();
  return table;
}

}  // namespace octavo

// Choice of the inner loops for this machine.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector_ops.h"

#include <array>

#include "backend/cpu/cpu_features.h"

namespace octavo {
namespace {

constexpr std::array<const VectorOps*, 3> kVariants = {&kVectorOpsPortable, &kVectorOpsAvx2,
                                                       &kVectorOpsAvx512};

size_t variant_of(CpuLevel level) {
  if (level < CpuLevel::kAvx2) return 0;
  return level < CpuLevel::kAvx512 ? 1 : 2;
}

}  // namespace

std::span<const VectorOps* const> runnable_vector_ops() {
  return std::span(kVariants).first(variant_of(detected_cpu_level()) + 1);
}

const VectorOps& vector_ops() { return *kVariants[variant_of(cpu_level())]; }

}  // namespace octavo

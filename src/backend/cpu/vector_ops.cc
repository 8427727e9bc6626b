// Choice of the inner loops for this machine.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector_ops.h"

#include <vector>

namespace octavo {
namespace {

std::vector<const VectorOps*> find_runnable() {
  std::vector<const VectorOps*> found = {&kVectorOpsPortable};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(&kVectorOpsAvx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      found.push_back(&kVectorOpsAvx512);
    }
  }
  return found;
}

}  // namespace

std::span<const VectorOps* const> runnable_vector_ops() {
  static const std::vector<const VectorOps*> found = find_runnable();
  return found;
}

const VectorOps& vector_ops() {
  static const VectorOps& best = *runnable_vector_ops().back();
  return best;
}

}  // namespace octavo

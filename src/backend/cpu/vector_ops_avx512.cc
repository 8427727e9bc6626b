// The inner loops for AVX-512; src/backend/cpu/CMakeLists.txt sets the instruction set.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector/table.h"

namespace octavo {
constinit const VectorOps kVectorOpsAvx512 = make_vector_ops("avx512");
}  // namespace octavo

// The inner loops for AVX2 with FMA; src/backend/cpu/CMakeLists.txt sets the instruction set.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector/table.h"

namespace octavo {
constinit const VectorOps kVectorOpsAvx2 = make_vector_ops("avx2");
}  // namespace octavo

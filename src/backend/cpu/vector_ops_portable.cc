// The inner loops for any x86-64; src/backend/cpu/CMakeLists.txt sets the instruction set.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector/table.h"

namespace octavo {
constinit const VectorOps kVectorOpsPortable = make_vector_ops("portable");
}  // namespace octavo

// CPU kernels of the op linear.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: FP8 weights stay FP8 in memory; a row's bytes do not depend on the other rows or on the
// number of threads (gemm.h). Kernels differ among themselves in the order of summation, hence in
// the last bits.
#pragma once

#include <span>

#include "ops/linear.h"

namespace octavo {

// In order of preference: AVX512-BF16, AVX-512, AVX2, scalar.
std::span<const Kernel> linear_kernels();

}  // namespace octavo

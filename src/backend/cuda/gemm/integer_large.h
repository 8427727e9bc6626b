// Linear on integer codes for many tokens: decoded in registers, multiplied by wgmma.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/gemm/integer_gemm.h"

namespace octavo::cuda {

// Weight rows of a tile, 128 or 256: what leaves the fewest multiprocessors idle. Results do not
// depend on it.
int integer_large_rows(const IntegerShape& shape, int multiprocessors);

// x's rows are aligned to 16 bytes, the weight's too, y's to 4; n is even.
void launch_integer_large(const IntegerGemm& gemm, int rows, const Launch& where);

}  // namespace octavo::cuda

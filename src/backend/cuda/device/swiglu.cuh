// silu(gate) × up, for every kernel that computes it: they give the same bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/convert.cuh"

namespace octavo::device {

// The reciprocal is within 1 ulp, and 0 where e^-gate exceeds 2^126: there the result is below
// 2^-119 |up| anyway. -inf × 0 is the NaN that it should be.
__device__ __forceinline__ float swiglu(float gate, float up) {
  return gate * reciprocal_approximate(1.0f + __expf(-gate)) * up;
}

}  // namespace octavo::device

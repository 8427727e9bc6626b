// The rotation of RoPE with its roundings written out: those that rope_kv_append.cu compiles to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

// Columns i of a head's first and second half.
__device__ __forceinline__ void rotate(float& low, float& high, float cosine, float sine) {
  const float x = low;
  low = __fmaf_rn(x, cosine, -__fmul_rn(high, sine));
  high = __fmaf_rn(x, sine, __fmul_rn(high, cosine));
}

}  // namespace octavo::device

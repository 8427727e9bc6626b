// The codes of integer_codes.cuh as operands of the tensor cores.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>

#include "backend/cuda/device/integer_codes.cuh"

namespace octavo::device {

__device__ __forceinline__ uint32_t decoded(CodePair pair) {
  const __nv_bfloat162 codes = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&pair.value),
                                       *reinterpret_cast<const __nv_bfloat162*>(&pair.offset));
  return *reinterpret_cast<const uint32_t*>(&codes);
}

// a[0] and a[2] are of a thread's lower row, a[1] and a[3] of the upper: of four bytes of each, the
// first and the third, then the second and the fourth. With 4-bit codes `lower` has both rows.
template <bool kFourBits>
__device__ __forceinline__ void decode_words(uint32_t (&a)[4], uint32_t lower, uint32_t upper) {
  if constexpr (kFourBits) {
    a[0] = decoded(int4_pair(lower));
    a[1] = decoded(int4_pair(lower >> 4));
    a[2] = decoded(int4_pair(lower >> 8));
    a[3] = decoded(int4_pair(lower >> 12));
  } else {
    a[0] = decoded(int8_pair(lower));
    a[1] = decoded(int8_pair(upper));
    a[2] = decoded(int8_pair(lower >> 8));
    a[3] = decoded(int8_pair(upper >> 8));
  }
}

// Two bytes side by side, the second in byte 2.
__device__ __forceinline__ uint32_t spread(uint32_t bytes) { return __byte_perm(bytes, 0, 0x4140); }

// The same from two neighbouring bytes of each row, at k = 2t (first) and k = 2t + 8 (second).
template <bool kFourBits>
__device__ __forceinline__ void decode_halves(uint32_t (&a)[4], const uint32_t (&lower)[2],
                                              const uint32_t (&upper)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t low = spread(lower[i]);
    if constexpr (kFourBits) {
      a[2 * i] = decoded(int4_pair(low));
      a[2 * i + 1] = decoded(int4_pair(low >> 4));
    } else {
      a[2 * i] = decoded(int8_pair(low));
      a[2 * i + 1] = decoded(int8_pair(spread(upper[i])));
    }
  }
}

}  // namespace octavo::device

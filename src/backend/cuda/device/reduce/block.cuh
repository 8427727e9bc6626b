// Sums over a warp and over a block, in a fixed order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  return value;
}

// All threads get the sum; blockDim.x is a multiple of 32. `scratch` holds 32 floats and is free
// for other use after the next block barrier.
__device__ __forceinline__ float block_sum(float value, float* scratch) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  const int warps = blockDim.x / 32;
  value = threadIdx.x % 32 < warps ? scratch[threadIdx.x % 32] : 0.0f;
  return warp_sum(value);
}

}  // namespace octavo::device

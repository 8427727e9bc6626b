// Sums over a warp and over a block, in a fixed order, and the largest value of a block.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

template <typename Value>
__device__ __forceinline__ Value warp_sum(Value value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  return value;
}

// All threads get the sum; blockDim.x is a multiple of 32, at most 512. `scratch` holds 16 floats,
// is aligned to 16 bytes and free for other use after the next block barrier.
__device__ __forceinline__ float block_sum(float value, float* scratch) {
  const int warps = blockDim.x / 32;
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  if (threadIdx.x >= warps && threadIdx.x < 16) scratch[threadIdx.x] = 0.0f;
  __syncthreads();
  float sum = 0.0f;  // read whole: sooner there than by shuffles
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(scratch)[i];
    sum += (four.x + four.y) + (four.z + four.w);
  }
  return sum;
}

// The largest of values that are not negative; a NaN counts as nothing. As block_sum otherwise.
__device__ __forceinline__ float block_max(float value, float* scratch) {
  const int warps = blockDim.x / 32;
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  if (threadIdx.x >= warps && threadIdx.x < 16) scratch[threadIdx.x] = 0.0f;
  __syncthreads();
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(scratch)[i];
    largest = fmaxf(largest, fmaxf(fmaxf(four.x, four.y), fmaxf(four.z, four.w)));
  }
  return largest;
}

}  // namespace octavo::device

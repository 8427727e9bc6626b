// Sums over groups of a block's threads, each with a barrier of its own, in the order of block_sum.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/reduce/block.cuh"

namespace octavo::device {

// Two, in turns: who writes one has passed the barrier of the other, behind which all had read it.
struct alignas(16) GroupScratch {
  float sums[2][16];
};

// Whole warps, at most 16 a group and 15 groups a block.
struct Group {
  int index;    // of the block's groups
  int thread;   // of the group
  int threads;  // of a group
  GroupScratch& scratch;
  int turn = 0;

  __device__ __forceinline__ Group(int group_threads, GroupScratch* scratches)
      : index(threadIdx.x / group_threads),
        thread(threadIdx.x % group_threads),
        threads(group_threads),
        scratch(scratches[index]) {}

  // All threads of the group get the sum, of which block_sum would make the same bits.
  __device__ __forceinline__ float sum(float value) {
    float* const sums = scratch.sums[turn];
    turn ^= 1;
    value = warp_sum(value);
    if (thread % 32 == 0) sums[thread / 32] = value;
    if (thread >= threads / 32 && thread < 16) sums[thread] = 0.0f;
    wait_named(index + 1, threads);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float4 four = reinterpret_cast<const float4*>(sums)[i];
      sum += (four.x + four.y) + (four.z + four.w);
    }
    return sum;
  }
};

}  // namespace octavo::device

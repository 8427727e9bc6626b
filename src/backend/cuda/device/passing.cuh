// Where running sums over a warp pass a limit.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

struct Passing {
  uint32_t index;  // of the value, kValues a lane
  bool passed;     // else it is the last value that is not zero
  double before;   // the sum of the values before it
  double all;      // the sum of all
};

// The first value with which the running sum satisfies `passes`, which no smaller sum does. Every
// lane gets the same.
template <int kValues, typename Passes>
__device__ __forceinline__ Passing first_passing(const double (&values)[kValues],
                                                 const Passes& passes) {
  constexpr uint32_t kAll = 0xFFFFFFFFu;
  const uint32_t lane = threadIdx.x % 32;
  double mine = 0;
#pragma unroll
  for (const double value : values) mine += value;
  double through = mine;  // this lane and those before it
#pragma unroll
  for (uint32_t lanes = 1; lanes < 32; lanes *= 2) {
    const double other = __shfl_up_sync(kAll, through, lanes);
    if (lane >= lanes) through += other;
  }
  double before = __shfl_up_sync(kAll, through, 1);
  if (lane == 0) before = 0;

  const uint32_t filled = __ballot_sync(kAll, mine > 0);
  const uint32_t passing = __ballot_sync(kAll, mine > 0 && passes(through));
  const int chosen = passing != 0 ? __ffs(passing) - 1 : filled != 0 ? 31 - __clz(filled) : 0;
  uint32_t index = lane * kValues;
  double sum = before;
  bool found = false;
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    if (found || values[i] == 0) continue;
    index = lane * kValues + i;
    before = sum;
    sum += values[i];
    found = passes(sum);
  }
  return {__shfl_sync(kAll, index, chosen), passing != 0, __shfl_sync(kAll, before, chosen),
          __shfl_sync(kAll, through, 31)};
}

}  // namespace octavo::device

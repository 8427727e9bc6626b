// Exponents counted in shared memory, a counter a lane and bin so that no two lanes meet.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/observe/observe.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBins = 256;
constexpr uint32_t kInfinityBits = 0x7F800000u;

// Adds the CTA's counters to the totals; a warp takes every eighth bin.
__device__ void add_to_totals(const uint32_t (&counters)[kBins][32], uint32_t largest,
                              ObservedTotals* totals) {
  const uint32_t all = __reduce_max_sync(0xFFFFFFFFu, largest);
  if (threadIdx.x % 32 == 0 && all > 0) atomicMax(&totals->amax_bits, all);
  __syncthreads();
  for (int bin = threadIdx.x / 32; bin < kBins; bin += blockDim.x / 32) {
    const uint32_t count = __reduce_add_sync(0xFFFFFFFFu, counters[bin][threadIdx.x % 32]);
    if (threadIdx.x % 32 == 0 && count > 0)
      atomicAdd(&totals->exponents[bin], static_cast<unsigned long long>(count));
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) observe_kernel(ObservedRows x) {
  __shared__ uint32_t counters[kBins][32];
  device::launch_dependents();
  for (int i = threadIdx.x; i < kBins * 32; i += blockDim.x) counters[i / 32][i % 32] = 0;
  __syncthreads();
  device::wait_for_dependencies();
  uint32_t largest = 0;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  for (int64_t row = blockIdx.y; column < x.columns && row < x.rows; row += gridDim.y) {
    float values[kWidth];
    device::load_floats<kWidth>(values,
                                static_cast<const T*>(x.data) + row * x.row_stride + column);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      // Magnitudes order like their bits.
      const uint32_t bits = __float_as_uint(values[i]) & 0x7FFFFFFFu;
      atomicAdd(&counters[bits >> 23][threadIdx.x % 32], 1);
      if (bits < kInfinityBits) largest = max(largest, bits);
    }
  }
  add_to_totals(counters, largest, x.totals);
}

}  // namespace

void launch_observe(const ObservedRows& x, const Launch& where) {
  constexpr int64_t kResident = 6 * 132;  // CTAs of an H200, of 32 KiB
  const bool aligned = reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  const int width = aligned && x.columns % 8 == 0 && x.row_stride % 8 == 0 ? 8 : 1;
  const int64_t vectors = blocks_for(x.columns, width);
  Grid grid;
  grid.threads = static_cast<int>(std::min<int64_t>(kThreads, blocks_for(vectors, 32) * 32));
  const int64_t across = blocks_for(vectors, kThreads);
  const int64_t down = std::min(x.rows, blocks_for(kResident, std::max<int64_t>(across, 1)));
  grid.blocks = dim3(static_cast<unsigned>(across), static_cast<unsigned>(down));
  dispatch_activation(x.dtype, [&]<typename T>(T) {
    dispatch_width(width, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(where, grid, observe_kernel<T, kWidth>, x);
    });
  });
}

}  // namespace octavo::cuda

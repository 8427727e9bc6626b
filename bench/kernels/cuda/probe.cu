// Device helpers of the benchmarks.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/launch.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

constexpr int kThreads = 512;

template <int kLoads>
__global__ void __launch_bounds__(kThreads)
    stream_probe_kernel(const uint4* data, int64_t count, uint32_t* sink) {
  device::launch_dependents();
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  uint32_t mixed = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += step * kLoads) {
    uint4 values[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j)
      values[j] = i + j * step < count ? device::load_streaming(data + i + j * step) : uint4{};
#pragma unroll
    for (int j = 0; j < kLoads; ++j) mixed ^= values[j].x ^ values[j].y ^ values[j].z ^ values[j].w;
  }
  device::wait_for_dependencies();
  if (mixed == 0x12345678u) *sink = mixed;
}

__device__ uint32_t mix(uint64_t index, uint32_t seed) {
  uint64_t value = (index + 1) * 0x9E3779B97F4A7C15ull + seed;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
  return static_cast<uint32_t>(value >> 32);
}

__global__ void fill_codes_kernel(uint32_t* data, size_t words, uint32_t seed) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < words;
       i += static_cast<size_t>(gridDim.x) * blockDim.x)
    data[i] = mix(i, seed) & 0xB7B7B7B7u;  // exponents 0 … 6 and 8 … 14: no NaN
}

__global__ void fill_bf16_kernel(__nv_bfloat16* data, size_t elements, float limit, uint32_t seed) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < elements;
       i += static_cast<size_t>(gridDim.x) * blockDim.x)
    data[i] = __float2bfloat16_rn((static_cast<float>(mix(i, seed)) * 0x1p-31f - 1.0f) * limit);
}

}  // namespace

void launch_stream_probe(const void* data, size_t bytes, int ctas, bool deep, bool programmatic,
                         void* sink, cudaStream_t stream) {
  cuda::Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(ctas));
  grid.threads = kThreads;
  const auto kernel = deep ? stream_probe_kernel<8> : stream_probe_kernel<4>;
  cuda::launch({stream, programmatic}, grid, kernel, static_cast<const uint4*>(data),
               static_cast<int64_t>(bytes / 16), static_cast<uint32_t*>(sink));
}

void fill_codes(void* data, size_t bytes, uint32_t seed) {
  fill_codes_kernel<<<1024, 256>>>(static_cast<uint32_t*>(data), bytes / 4, seed);
}

void fill_bf16(void* data, size_t elements, float limit, uint32_t seed) {
  fill_bf16_kernel<<<1024, 256>>>(static_cast<__nv_bfloat16*>(data), elements, limit, seed);
}

}  // namespace octavo::bench

// The place of each row's maximum: one pass, a cluster of CTAs a row where there are few rows.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/order_key.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/cluster.cuh"
#include "backend/cuda/sampling/sampling.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kLoads = 4;  // of 16 bytes, in flight a thread

struct Largest {
  uint64_t key = 0;
  __device__ void merge(const Largest& other) { key = other.key > key ? other.key : key; }
};

template <bool kVector>
__device__ __forceinline__ float4 load_four(const float* row, int32_t i, int32_t end) {
  if (kVector && i + 4 <= end) return *reinterpret_cast<const float4*>(row + i);
  return {i < end ? row[i] : -INFINITY, i + 1 < end ? row[i + 1] : -INFINITY,
          i + 2 < end ? row[i + 2] : -INFINITY, i + 3 < end ? row[i + 3] : -INFINITY};
}

template <bool kVector>
__device__ Largest largest_of_slice(const float* row, int32_t first, int32_t end) {
  float largest = -INFINITY;
  int32_t place = first;
  bool bad = false;
  for (int32_t i = first + 4 * threadIdx.x; i < end; i += 4 * kThreads * kLoads) {
    float4 loaded[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) loaded[j] = load_four<kVector>(row, i + 4 * kThreads * j, end);
#pragma unroll
    for (int j = 0; j < kLoads; ++j) {
      const float values[4] = {loaded[j].x, loaded[j].y, loaded[j].z, loaded[j].w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        bad |= !(values[e] < INFINITY);
        if (values[e] > largest) {
          largest = values[e];
          place = i + 4 * kThreads * j + e;
        }
      }
    }
  }
  return {bad ? device::kBadPlace : device::place_key(largest, place)};
}

template <bool kVector>
__global__ void __launch_bounds__(kThreads) greedy_kernel(SampleArgs args, int cluster) {
  __shared__ device::ClusterParts<Largest, kWarps> parts;
  device::launch_dependents();
  device::wait_for_dependencies();
  const int32_t index = blockIdx.x / cluster;
  const int32_t slot = args.rows[index].slot;
  if (slot < 0) return;
  device::cluster_arrive();  // a peer's shared memory may be written once the peer has started
  device::ClusterPlace place{device::cluster_rank(), static_cast<uint32_t>(cluster)};
  const int32_t slice = (args.vocab_size + 4 * cluster - 1) / (4 * cluster) * 4;
  const int32_t first = min(slice * static_cast<int32_t>(place.rank), args.vocab_size);
  const int32_t end = min(first + slice, args.vocab_size);
  Largest largest = largest_of_slice<kVector>(args.logits + index * args.logits_stride, first, end);
  device::cluster_wait();
  largest = device::cluster_merge(largest, parts, place);
  if (place.rank != 0 || threadIdx.x != 0) return;
  const bool error = largest.key == device::kBadPlace || device::value_of(largest.key) == -INFINITY;
  const int32_t token = error ? 0 : device::place_of(largest.key);
  args.sampled[index] = {token, error ? 1 : 0, 0.0f, 0};
  args.last_token[slot] = token;
}

}  // namespace

void launch_greedy(const SampleArgs& args, const Launch& where) {
  constexpr int64_t kResident = 4 * 132;  // CTAs of an H200: one wave at most, where it can be
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = device::kMaxCluster;
  while (grid.cluster > 1 && args.num_rows * grid.cluster > kResident) grid.cluster /= 2;
  grid.blocks = dim3(static_cast<unsigned>(args.num_rows * grid.cluster));
  const bool vector =
      reinterpret_cast<uintptr_t>(args.logits) % 16 == 0 && args.logits_stride % 4 == 0;
  launch(where, grid, vector ? greedy_kernel<true> : greedy_kernel<false>, args, grid.cluster);
}

}  // namespace octavo::cuda

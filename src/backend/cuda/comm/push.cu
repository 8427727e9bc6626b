// All-reduce of few elements: packets pushed to every peer, summed as they arrive.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/comm/push.h"
#include "backend/cuda/device/peer.cuh"
#include "backend/cuda/device/peer_sum.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/dispatch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

// Two packets an item of 16 bytes. What a peer pushes in call n + 1 lies apart from call n, and it
// gets there only when this rank's packets of call n have reached it: two places are enough.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    push_reduce_kernel(PeerLinks links, const uint4* x, uint4* y, int64_t items) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kPushChannel);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = first; i < items; i += step) device::push_item(links, x[i], i, call);
  for (int64_t i = first; i < items; i += step) {
    device::RankSum<T> sum;
    if (!device::sum_items(links, x[i], i, call, sum)) break;
    y[i] = sum.rounded();
  }
  __syncthreads();
  device::end_call(links, device::kPushChannel, call);
}

}  // namespace

void launch_push_reduce(const PeerLinks& links, const PushReduce& reduce, const Launch& where) {
  const int64_t items = reduce.bytes / 16;
  Grid grid;
  grid.threads = kThreads;
  grid.blocks =
      dim3(static_cast<unsigned>(std::min<int64_t>(blocks_for(items, kThreads), links.blocks)));
  dispatch_activation(reduce.dtype, [&]<typename T>(T) {
    launch(where, grid, push_reduce_kernel<T>, links, static_cast<const uint4*>(reduce.x),
           static_cast<uint4*>(reduce.y), items);
  });
}

}  // namespace octavo::cuda

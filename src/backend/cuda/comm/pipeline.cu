// Rows from one stage of a pipeline to the next: written where the receiver has them.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/comm/pipeline.h"
#include "backend/cuda/device/peer.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBytesPerBlock = 16 * 1024;

template <typename Word>
__device__ __forceinline__ void copy_rows(const PeerRows& x, std::byte* to, int64_t to_stride) {
  const int64_t words = x.row_bytes / static_cast<int64_t>(sizeof(Word));
  const int64_t total = x.rows * words;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < total;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t row = i / words, at = i % words * static_cast<int64_t>(sizeof(Word));
    *reinterpret_cast<Word*>(to + row * to_stride + at) =
        *reinterpret_cast<const Word*>(x.data + row * x.stride + at);
  }
}

template <typename Word>
__global__ void __launch_bounds__(kThreads) send_kernel(PeerLinks links, PeerRows x) {
  __shared__ std::byte* to;
  device::launch_dependents();
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kSendChannel);
  if (threadIdx.x == 0) {
    to = device::take_address(links, &links.states[links.index]->receiver[blockIdx.x],
                              links.rank + links.size, call);
    device::fence_system();
  }
  __syncthreads();
  if (to == nullptr) return;
  copy_rows<Word>(x, to, x.row_bytes);
  __syncthreads();
  if (threadIdx.x == 0) {
    device::fence_system();
    device::store_system(&links.next->sent[blockIdx.x], call);
  }
  device::end_call(links, device::kSendChannel, call);
}

__global__ void __launch_bounds__(kThreads) receive_kernel(PeerLinks links, PeerRows y) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kReceiveChannel);
  if (threadIdx.x == 0) {
    device::fence_system();
    device::put_address(&links.previous->receiver[blockIdx.x], y.data, call);
    const uint32_t* const sent = &links.states[links.index]->sent[blockIdx.x];
    device::wait_for_peer(links, links.rank - links.size,
                          [&] { return device::load_system(sent) == call; });
    device::fence_system();
  }
  __syncthreads();
  device::end_call(links, device::kReceiveChannel, call);
}

// Sender and receiver have the same rows, and so the same grid.
Grid grid_for(const PeerLinks& links, const PeerRows& rows) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(std::clamp<int64_t>(
      blocks_for(rows.rows * rows.row_bytes, kBytesPerBlock), 1, links.blocks)));
  return grid;
}

}  // namespace

void launch_send(const PeerLinks& links, const PeerRows& x, const Launch& where) {
  const bool wide = (reinterpret_cast<uintptr_t>(x.data) | x.stride | x.row_bytes) % 16 == 0;
  if (wide) return launch(where, grid_for(links, x), send_kernel<uint4>, links, x);
  launch(where, grid_for(links, x), send_kernel<uint8_t>, links, x);
}

void launch_receive(const PeerLinks& links, const PeerRows& y, const Launch& where) {
  launch(where, grid_for(links, y), receive_kernel, links, y);
}

}  // namespace octavo::cuda

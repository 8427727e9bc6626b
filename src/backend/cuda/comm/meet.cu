// Exchanges of many elements: ranks tell each other where their matrices are, then read and write
// them there.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/comm/meet.h"
#include "backend/cuda/device/peer.cuh"
#include "backend/cuda/device/peer_sum.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/dispatch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kUnroll = 4;

// Where every rank's x and y are.
struct Meeting {
  std::byte* x[device::kMaxPeers];
  std::byte* y[device::kMaxPeers];
};

// Whoever gets an address sees what was written there before it was posted, and may write to y:
// the peer's kernels before this one have ended. False where a peer does not come.
__device__ __forceinline__ bool meet(const PeerLinks& links, std::byte* x, std::byte* y,
                                     uint32_t call, Meeting& meeting) {
  const int rank = threadIdx.x;
  bool came = true;
  if (rank < links.size) {
    meeting.x[rank] = x;
    meeting.y[rank] = y;
    if (rank != links.index) {
      device::fence_system();
      device::Packet* const to = links.states[rank]->posts[links.index][blockIdx.x];
      device::put_address(to, x, call);
      device::put_address(to + 1, y, call);
      const device::Packet* const from = links.states[links.index]->posts[rank][blockIdx.x];
      meeting.x[rank] = device::take_address(links, from, links.first_rank + rank, call);
      meeting.y[rank] = device::take_address(links, from + 1, links.first_rank + rank, call);
      device::fence_system();
      came = meeting.x[rank] != nullptr && meeting.y[rank] != nullptr;
    }
  }
  return __syncthreads_and(came);
}

// Returns when this block's counterparts have written what they write: with all blocks, y is whole
// and x is free.
__device__ __forceinline__ void leave(const PeerLinks& links, uint32_t call) {
  const int rank = threadIdx.x;
  __syncthreads();
  if (rank < links.size && rank != links.index) {
    device::fence_system();
    device::store_system(&links.states[rank]->ends[links.index][blockIdx.x], call);
    const uint32_t* const end = &links.states[links.index]->ends[rank][blockIdx.x];
    device::wait_for_peer(links, links.first_rank + rank,
                          [&] { return device::load_system(end) == call; });
    device::fence_system();
  }
  device::end_call(links, device::kMeetChannel, call);
}

// Item i of the part: its row and its vector within the row.
struct Item {
  int64_t row, vector;
  __device__ __forceinline__ Item(const PeerPart& part, int64_t i) : row(0), vector(i) {
    if (part.rows == 1) return;
    row = static_cast<uint32_t>(i) / static_cast<uint32_t>(part.vectors);
    vector = static_cast<uint32_t>(i) % static_cast<uint32_t>(part.vectors);
  }
};

// Where a thread's item is in x and in y.
struct Place {
  int64_t from, to;
  bool is_there, is_inside;

  __device__ __forceinline__ Place(const MeetReduce& reduce, int64_t i, int64_t total, int bytes) {
    const PeerPart& part = reduce.part;
    const Item item(part, i);
    const int64_t row = part.first_row + item.row, at = (part.first_vector + item.vector) * bytes;
    from = row * reduce.x.stride + at;
    to = reduce.to_all ? row * reduce.y.stride + at
                       : item.row * reduce.y.stride + item.vector * bytes;
    is_inside = i < total;
    is_there = is_inside && row < reduce.x_rows;
  }
};

// Some items of all ranks are on their way at once: one alone would wait for the link.
template <typename T, int kWidth>
__device__ __forceinline__ void reduce_items(const PeerLinks& links, const MeetReduce& reduce,
                                             const Meeting& meeting, int64_t first, int64_t step,
                                             int64_t total) {
  using Vec = device::Vec<T, kWidth>;
  device::RankSum<T, kWidth> sums[kUnroll];
  for (int rank = 0; rank < links.size; ++rank) {
    Vec terms[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const Place place(reduce, first + u * step, total, sizeof(Vec));
      terms[u] = Vec{};
      if (place.is_there) terms[u] = *reinterpret_cast<const Vec*>(meeting.x[rank] + place.from);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) sums[u].add(rank, terms[u]);
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const Place place(reduce, first + u * step, total, sizeof(Vec));
    if (!place.is_inside) continue;
    const Vec sum = sums[u].rounded_term();
    for (int rank = 0; rank < links.size; ++rank) {
      if (reduce.to_all || rank == links.index)
        *reinterpret_cast<Vec*>(meeting.y[rank] + place.to) = sum;
    }
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads) meet_reduce_kernel(PeerLinks links, MeetReduce reduce) {
  __shared__ Meeting meeting;
  device::launch_dependents();
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kMeetChannel);
  if (!meet(links, reduce.x.data, reduce.y.data, call, meeting)) return;
  const int64_t total = reduce.part.rows * reduce.part.vectors;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (int64_t i = first; i < total; i += step * kUnroll)
    reduce_items<T, kWidth>(links, reduce, meeting, i, step, total);
  leave(links, call);
}

template <typename Word>
__global__ void __launch_bounds__(kThreads) meet_gather_kernel(PeerLinks links, MeetGather gather) {
  __shared__ Meeting meeting;
  device::launch_dependents();
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kMeetChannel);
  if (!meet(links, gather.x.data, gather.y.data, call, meeting)) return;
  const int64_t total = gather.to.rows * gather.to.vectors;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < total;
       i += step) {
    const Item item(gather.to, i);
    const int64_t at = item.vector * static_cast<int64_t>(sizeof(Word));
    const Word value =
        *reinterpret_cast<const Word*>(gather.x.data + item.row * gather.x.stride + at);
    const int64_t to = (gather.to.first_row + item.row) * gather.y.stride +
                       gather.to.first_vector * static_cast<int64_t>(sizeof(Word)) + at;
    for (int rank = 0; rank < links.size; ++rank)
      *reinterpret_cast<Word*>(meeting.y[rank] + to) = value;
  }
  leave(links, call);
}

// More blocks than a link needs cost more in meetings than they gain: measured on two H200s.
Grid grid_for(const PeerLinks& links, int64_t items) {
  constexpr int64_t kFewBlocks = 32, kItemsPerBlock = kThreads * kUnroll;
  const int64_t blocks = std::max(std::min(blocks_for(items, kThreads), kFewBlocks),
                                  blocks_for(items, kItemsPerBlock));
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(std::clamp<int64_t>(blocks, 1, links.blocks)));
  return grid;
}

}  // namespace

void launch_meet_reduce(const PeerLinks& links, const MeetReduce& reduce, const Launch& where) {
  const Grid grid = grid_for(links, reduce.most_items);
  dispatch_activation(reduce.dtype, [&]<typename T>(T) {
    constexpr int kWide = 16 / sizeof(T);
    if (reduce.width == kWide)
      return launch(where, grid, meet_reduce_kernel<T, kWide>, links, reduce);
    launch(where, grid, meet_reduce_kernel<T, 1>, links, reduce);
  });
}

void launch_meet_gather(const PeerLinks& links, const MeetGather& gather, const Launch& where) {
  const Grid grid = grid_for(links, gather.most_items);
  if (gather.word == 16) return launch(where, grid, meet_gather_kernel<uint4>, links, gather);
  launch(where, grid, meet_gather_kernel<uint8_t>, links, gather);
}

}  // namespace octavo::cuda

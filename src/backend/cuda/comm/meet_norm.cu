// Sums of many rows with the norm behind them: addresses are exchanged, rows summed and normed by
// groups of threads, and what was normed is written to whoever reads it.
// SPDX-License-Identifier: Apache-2.0
#include <type_traits>

#include "backend/cuda/comm/meet_norm.h"
#include "backend/cuda/device/norm.cuh"
#include "backend/cuda/device/peer_sum.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/group.cuh"
#include "backend/cuda/dispatch.h"

namespace octavo::cuda {
namespace {

using T = __nv_bfloat16;
constexpr int kWidth = 8;  // elements of a vector of 16 bytes
using Vec = device::Vec<T, kWidth>;

// Where every rank's x and y are.
struct Meeting {
  std::byte* x[device::kMaxPeers];
  std::byte* y[device::kMaxPeers];
};

// Whoever gets an address sees what was written there before it was posted. Posts go to two places
// in turns: a rank may be a call ahead of one that has yet to read its last post, as not every call
// has an end in common. False where a peer does not come.
__device__ __forceinline__ bool meet(const PeerLinks& links, const NormRows& rows, uint32_t call,
                                     Meeting& meeting) {
  const int rank = threadIdx.x;
  bool came = true;
  if (rank < links.size) {
    meeting.x[rank] = static_cast<std::byte*>(const_cast<void*>(rows.x));
    meeting.y[rank] = static_cast<std::byte*>(rows.y);
    if (rank != links.index) {
      device::fence_system();
      device::Packet* const to = links.states[rank]->norm_posts[call & 1u][links.index][blockIdx.x];
      device::put_address(to, rows.x, call);
      device::put_address(to + 1, rows.y, call);
      const device::Packet* const from =
          links.states[links.index]->norm_posts[call & 1u][rank][blockIdx.x];
      meeting.x[rank] = device::take_address(links, from, links.first_rank + rank, call);
      meeting.y[rank] = device::take_address(links, from + 1, links.first_rank + rank, call);
      device::fence_system();
      came = meeting.x[rank] != nullptr && meeting.y[rank] != nullptr;
    }
  }
  return __syncthreads_and(came);
}

// Returns when this block's counterparts have written what they write, and have read x.
__device__ __forceinline__ void end_together(const PeerLinks& links, uint32_t call) {
  const int rank = threadIdx.x;
  __syncthreads();
  if (rank >= links.size || rank == links.index) return;
  device::fence_system();
  device::store_system(&links.states[rank]->norm_ends[links.index][blockIdx.x], call);
  const uint32_t* const end = &links.states[links.index]->norm_ends[rank][blockIdx.x];
  device::wait_for_peer(links, links.first_rank + rank,
                        [&] { return device::load_system(end) == call; });
  device::fence_system();
}

struct Job {
  NormRows rows;
  int64_t first_row;
  RowGrid grid;
  int group_threads;
  bool to_all;
};

// A group's row. Threads hold what those of rms_norm hold, and add in the same order: the same
// bytes.
template <typename Out, int kHeld>
struct Row {
  const Job& job;
  const device::Group& group;
  Vec values[kHeld];

  template <typename Function>
  __device__ __forceinline__ void for_slots(const Function& function) const {
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot) {
      const int at = (group.thread + slot * group.threads) * kWidth;
      if (at < job.rows.width) function(slot, at);
    }
  }
  // Loads without a condition, at the row's begin where there is no such vector: a register that
  // may or may not be loaded is kept for too long.
  __device__ __forceinline__ void load(Vec (&vecs)[kHeld], const T* from) const {
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot) {
      const int at = (group.thread + slot * group.threads) * kWidth;
      vecs[slot] = device::load_vec<kWidth>(from + (at < job.rows.width ? at : 0));
    }
  }

  // The residual is near, and asked for last: registers are scarce while rows are summed.
  __device__ __forceinline__ void sum(const PeerLinks& links, const Meeting& meeting, int64_t row) {
    const T* const residual =
        static_cast<const T*>(job.rows.residual) + row * job.rows.residual_stride;
    const int64_t from = (job.first_row + row) * job.rows.x_stride;
    device::RankSum<T> sums[kHeld];
#pragma unroll 1  // a rank's vectors are enough to be on their way at once, and to be held
    for (int rank = 0; rank < links.size; ++rank) {
      const T* const x = reinterpret_cast<const T*>(meeting.x[rank]) + from;
      Vec terms[kHeld];
      load(terms, x);
#pragma unroll
      for (int slot = 0; slot < kHeld; ++slot) sums[slot].add(rank, terms[slot]);
    }
    Vec others[kHeld];
    load(others, residual);
    T* const to = static_cast<T*>(job.rows.sum) + row * job.rows.sum_stride;
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot)
      values[slot] = device::add_rounded(sums[slot].rounded_term(), others[slot]);
    for_slots([&](int slot, int at) { *reinterpret_cast<Vec*>(to + at) = values[slot]; });
  }

  __device__ __forceinline__ float squares() const {
    float sum = 0.0f;
    for_slots([&](int slot, int) { sum = device::add_squares(sum, values[slot]); });
    return sum;
  }

  __device__ __forceinline__ void write(const PeerLinks& links, const Meeting& meeting, int64_t row,
                                        const Vec (&weights)[kHeld], float factor,
                                        float inverse) const {
    using Normed = device::Vec<Out, kWidth>;
    const int64_t to = (job.first_row + row) * job.rows.y_stride;
    for_slots([&](int slot, int at) {
      alignas(16) Normed normed;
      device::write_normed(normed.values, values[slot], weights[slot], factor, inverse);
#pragma unroll 1
      for (int rank = 0; rank < links.size; ++rank) {
        if (job.to_all || rank == links.index)
          *reinterpret_cast<Normed*>(reinterpret_cast<Out*>(meeting.y[rank]) + to + at) = normed;
      }
    });
  }
};

template <typename Out, int kHeld>
__global__ void __launch_bounds__(kMaxNormThreads) meet_norm_kernel(PeerLinks links, Job job) {
  __shared__ Meeting meeting;
  __shared__ device::GroupScratch scratch[kMostRowGroups];
  device::launch_dependents();
  device::Group group(job.group_threads, scratch);
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kNormChannel);
  if (!meet(links, job.rows, call, meeting)) return;
  const float inverse = __frcp_rn(job.rows.output_scale != nullptr ? *job.rows.output_scale : 1.0f);
  Row<Out, kHeld> row{job, group, {}};
  const T* const weight = static_cast<const T*>(job.rows.weight);
  const int64_t step = row_step_of(job.grid);
  for (int64_t r = first_row_of(job.grid, blockIdx.x, group.index); r < job.rows.rows; r += step) {
    row.sum(links, meeting, r);
    Vec weights[kHeld];  // near, too
    row.load(weights, weight);
    const float mean = group.sum(row.squares()) * job.rows.inverse_width;
    row.write(links, meeting, r, weights, rsqrtf(mean + job.rows.epsilon), inverse);
  }
  if (job.to_all) end_together(links, call);
  device::end_call(links, device::kNormChannel, call);
}

}  // namespace

void launch_meet_norm(const PeerLinks& links, const MeetNorm& norm, const Launch& where) {
  const NormLayout layout = norm_layout(norm.rows.width, kWidth);
  Job job{.rows = norm.rows,
          .first_row = norm.first_row,
          .grid = row_grid(norm.most_rows, layout.threads, kMaxNormThreads, links.blocks),
          .group_threads = layout.threads,
          .to_all = norm.to_all};
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(job.grid.blocks));
  grid.threads = job.grid.groups * layout.threads;
  dispatch_output<T>(norm.rows.output, [&]<typename Out>(Out) {
    if (layout.held == 1) return launch(where, grid, meet_norm_kernel<Out, 1>, links, job);
    if (layout.held == 2) return launch(where, grid, meet_norm_kernel<Out, 2>, links, job);
    launch(where, grid, meet_norm_kernel<Out, 4>, links, job);
  });
}

}  // namespace octavo::cuda

// Permute: a stable counting sort of choices by expert, then copies of rows.
// SPDX-License-Identifier: Apache-2.0
//
// For few choices every block counts for itself what comes before its own, in one launch; for many
// one block sorts, and the next grid copies. Which of the two it is depends on shapes alone.
#include <algorithm>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/moe/moe.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kSortThreads = 1024;
constexpr int kSortWarps = kSortThreads / 32;
constexpr int64_t kFewChoices = 2048;
constexpr unsigned kAll = 0xFFFFFFFFu;

// The expert of a choice; num_experts for none, which so comes last.
__device__ __forceinline__ int expert_of(const PermutedRows& permute, int64_t choice) {
  const int expert =
      permute.experts[choice / permute.top_k * permute.experts_stride + choice % permute.top_k];
  return expert >= 0 && expert < permute.num_experts ? expert : permute.num_experts;
}

__device__ __forceinline__ int64_t choices(const PermutedRows& permute) {
  return permute.tokens * permute.top_k;
}

// By a warp: choices of experts below `expert`, and those of `expert` itself among the first
// `before`.
__device__ __forceinline__ int count_ahead(const PermutedRows& permute, int expert,
                                           int64_t before) {
  int count = 0;
  for (int64_t i = threadIdx.x % 32; i < choices(permute); i += 32) {
    const int other = expert_of(permute, i);
    count += other < expert || (other == expert && i < before) ? 1 : 0;
  }
  return __reduce_add_sync(kAll, count);
}

// By the whole block.
template <typename Word>
__device__ __forceinline__ void copy_row(const PermutedRows& permute, int64_t token, int64_t row) {
  const auto* from = reinterpret_cast<const Word*>(permute.x + token * permute.x_stride);
  auto* to = reinterpret_cast<Word*>(permute.y + row * permute.y_stride);
  for (int64_t i = threadIdx.x; i < permute.row_bytes / static_cast<int64_t>(sizeof(Word));
       i += kThreads)
    to[i] = from[i];
}

template <typename Word>
__device__ __forceinline__ void clear_row(const PermutedRows& permute, int64_t row) {
  auto* to = reinterpret_cast<Word*>(permute.y + row * permute.y_stride);
  for (int64_t i = threadIdx.x; i < permute.row_bytes / static_cast<int64_t>(sizeof(Word));
       i += kThreads)
    to[i] = Word{};
}

// A block a token: its rows, and as many of y that may be nobody's. A warp counts for an expert's
// offset, or for a choice of the token.
template <typename Word>
__global__ void __launch_bounds__(kThreads) permute_few_kernel(PermutedRows permute) {
  __shared__ int places[kMostExperts + 1];  // of the token's choices; then how many have one
  device::launch_dependents();
  device::wait_for_dependencies();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const bool is_first = threadIdx.x % 32 == 0;
  for (int expert = static_cast<int>(blockIdx.x) * kWarps + warp; expert <= permute.num_experts;
       expert += static_cast<int>(gridDim.x) * kWarps) {
    const int offset = count_ahead(permute, expert, 0);
    if (is_first) permute.offsets[expert] = offset;
  }
  const int64_t token = blockIdx.x;
  if (token >= permute.tokens) return;
  const int64_t first = token * permute.top_k;
  for (int i = warp; i <= permute.top_k; i += kWarps) {
    const int expert = i < permute.top_k ? expert_of(permute, first + i) : permute.num_experts;
    const int ahead = count_ahead(permute, expert, i < permute.top_k ? first + i : 0);
    if (!is_first) continue;
    places[i] = i < permute.top_k && expert == permute.num_experts ? -1 : ahead;
    if (i < permute.top_k) permute.rows[token * permute.rows_stride + i] = places[i];
  }
  __syncthreads();
  for (int i = 0; i < permute.top_k; ++i) {
    if (places[i] >= 0) copy_row<Word>(permute, token, places[i]);
    if (first + i >= places[permute.top_k]) clear_row<Word>(permute, first + i);
  }
}

// The same of rows and offsets that are there.
template <typename Word>
__global__ void __launch_bounds__(kThreads) copy_rows_kernel(PermutedRows permute) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t token = blockIdx.x;
  const int taken = permute.offsets[permute.num_experts];
  for (int i = 0; i < permute.top_k; ++i) {
    const int row = permute.rows[token * permute.rows_stride + i];
    if (row >= 0) copy_row<Word>(permute, token, row);
    const int64_t choice = token * permute.top_k + i;
    if (choice >= taken) clear_row<Word>(permute, choice);
  }
}

// One block: warp w has the w-th of as many equal runs of choices.
struct Sort {
  const PermutedRows& permute;
  int* counts;  // [kSortWarps, num_experts + 1] in shared memory

  __device__ __forceinline__ int classes() const { return permute.num_experts + 1; }
  __device__ __forceinline__ int* own() const {
    return counts + static_cast<int>(threadIdx.x) / 32 * classes();
  }

  // Calls body(choice, expert, how many of it the warp has counted before) for the warp's run.
  template <typename Body>
  __device__ __forceinline__ void for_each(const Body& body) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t run = (choices(permute) + kSortWarps - 1) / kSortWarps;
    const int64_t begin = static_cast<int64_t>(threadIdx.x) / 32 * run;
    const int64_t end = min(begin + run, choices(permute));
    for (int64_t at = begin; at < end; at += 32) {
      const int64_t choice = at + lane;
      const int expert = choice < end ? expert_of(permute, choice) : -1;
      const unsigned equals = __match_any_sync(kAll, expert);
      const int rank = __popc(equals & ((1u << lane) - 1));
      const int before = expert >= 0 ? own()[expert] : 0;
      __syncwarp();
      if (expert >= 0 && rank == 0) own()[expert] = before + __popc(equals);
      __syncwarp();
      if (expert >= 0) body(choice, expert, before + rank);
    }
  }

  __device__ __forceinline__ void count() const {
    for (int i = threadIdx.x; i < kSortWarps * classes(); i += kSortThreads) counts[i] = 0;
    __syncthreads();
    for_each([](int64_t, int, int) {});
    __syncthreads();
  }

  // Turns the counts of each class into how many of it are in the runs before; returns all of it.
  __device__ __forceinline__ int sum_runs(int expert) const {
    int sum = 0;
    for (int warp = 0; warp < kSortWarps; ++warp) {
      int& count = counts[warp * classes() + expert];
      const int before = sum;
      sum += count;
      count = before;
    }
    return sum;
  }

  // By one warp: the offsets, from the totals that stand in their places.
  __device__ __forceinline__ void sum_experts(int32_t* offsets) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    int carry = 0;
    for (int begin = 0; begin < classes(); begin += 32) {
      const int expert = begin + lane;
      const int own_count = expert < classes() ? offsets[expert] : 0;
      int sum = own_count;
      for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(kAll, sum, step);
        if (lane >= step) sum += other;
      }
      if (expert < classes()) offsets[expert] = carry + sum - own_count;
      carry += __shfl_sync(kAll, sum, 31);
    }
  }
};

__global__ void __launch_bounds__(kSortThreads) sort_kernel(PermutedRows permute) {
  extern __shared__ int counts[];
  int* offsets = counts + kSortWarps * (permute.num_experts + 1);
  const Sort sort = {permute, counts};
  device::launch_dependents();
  device::wait_for_dependencies();
  sort.count();
  for (int expert = threadIdx.x; expert < sort.classes(); expert += kSortThreads)
    offsets[expert] = sort.sum_runs(expert);
  __syncthreads();
  if (threadIdx.x < 32) sort.sum_experts(offsets);
  __syncthreads();
  for (int expert = threadIdx.x; expert < sort.classes(); expert += kSortThreads)
    permute.offsets[expert] = offsets[expert];
  sort.for_each([&](int64_t choice, int expert, int before) {
    const int row = expert == permute.num_experts ? -1 : offsets[expert] + before;
    permute.rows[choice / permute.top_k * permute.rows_stride + choice % permute.top_k] = row;
  });
}

template <typename Word>
void launch_words(const PermutedRows& permute, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(std::max<int64_t>(permute.tokens, 1)));
  if (permute.tokens * permute.top_k <= kFewChoices)
    return launch(where, grid, permute_few_kernel<Word>, permute);
  Grid one;
  one.threads = kSortThreads;
  one.shared_bytes = (kSortWarps + 1) * (permute.num_experts + 1) * static_cast<int>(sizeof(int));
  allow_shared_memory(sort_kernel, one.shared_bytes);
  launch(where, one, sort_kernel, permute);
  launch(where, grid, copy_rows_kernel<Word>, permute);
}

}  // namespace

void launch_permute(const PermutedRows& permute, const Launch& where) {
  const auto bits =
      reinterpret_cast<uintptr_t>(permute.x) | reinterpret_cast<uintptr_t>(permute.y) |
      static_cast<uintptr_t>(permute.x_stride) | static_cast<uintptr_t>(permute.y_stride) |
      static_cast<uintptr_t>(permute.row_bytes);
  if (bits % 16 == 0) return launch_words<uint4>(permute, where);
  launch_words<uint16_t>(permute, where);
}

}  // namespace octavo::cuda

// What slots keep between steps: token counts begun anew, and last tokens as the next step's input.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/sampling/sampling.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kCluster = 8;

// A cluster a slot: it clears the row, then counts.
__global__ void __launch_bounds__(kThreads) begin_slots_kernel(SlotHistories histories) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const SlotHistory history = histories.slots[blockIdx.x / kCluster];
  const int32_t step = kThreads * kCluster;
  const int32_t first = blockIdx.x % kCluster * kThreads + threadIdx.x;
  uint32_t* counts = histories.counts + static_cast<int64_t>(history.slot) * histories.vocab_size;
  for (int32_t i = first; i < histories.vocab_size; i += step) counts[i] = 0;
  device::cluster_sync();
  for (int32_t i = first; i < history.num_prompt + history.num_output; i += step) {
    const int32_t token = histories.tokens[history.first + i];
    if (token < 0 || token >= histories.vocab_size) continue;
    if (i < history.num_prompt) {
      atomicOr(&counts[token], kInPrompt);
    } else {
      atomicAdd(&counts[token], 1);
    }
  }
}

__global__ void __launch_bounds__(kThreads) step_tokens_kernel(StepTokens tokens) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= tokens.count) return;
  const int32_t slot = tokens.from_slot[i];
  tokens.token_ids[i] = slot >= 0 ? tokens.last_token[slot] : tokens.host_ids[i];
}

}  // namespace

void launch_begin_slots(const SlotHistories& histories, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(histories.num_slots * kCluster));
  grid.threads = kThreads;
  grid.cluster = kCluster;
  launch(where, grid, begin_slots_kernel, histories);
}

void launch_step_tokens(const StepTokens& tokens, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(tokens.count, kThreads)));
  grid.threads = kThreads;
  launch(where, grid, step_tokens_kernel, tokens);
}

}  // namespace octavo::cuda

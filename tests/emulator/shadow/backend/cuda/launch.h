// Launching a kernel on the emulated device: the interface of src/backend/cuda/launch.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <type_traits>

#include "backend/cuda/cuda_check.h"
#include "machine.h"
#include "stream.h"

namespace octavo::cuda {

struct Launch {
  cudaStream_t stream = nullptr;
  bool programmatic = false;
};

struct Grid {
  dim3 blocks = 1;
  int threads = 1;
  int shared_bytes = 0;
  int cluster = 1;
};

template <typename... Params>
void launch(const Launch& where, const Grid& grid, void (*kernel)(Params...),
            const std::type_identity_t<Params>&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  const emulator::GridShape shape = {.blocks = {grid.blocks.x, grid.blocks.y, grid.blocks.z},
                                     .threads = grid.threads,
                                     .shared_bytes = grid.shared_bytes,
                                     .cluster = grid.cluster};
  emulator::enqueue(where.stream, [shape, kernel, arguments...] {
    emulator::run(shape, [&] { kernel(arguments...); });
  });
}

template <typename... Params>
void allow_shared_memory(void (*)(Params...), int) {}

template <typename... Params>
int resident_clusters(void (*)(Params...), const Grid& grid) {
  const int ctas = emulator::kSharedBytes / (grid.shared_bytes + 1024);
  return emulator::kMultiprocessors * (ctas < 1 ? 1 : ctas) / grid.cluster;
}

constexpr int64_t blocks_for(int64_t items, int64_t per_block) {
  return (items + per_block - 1) / per_block;
}

}  // namespace octavo::cuda

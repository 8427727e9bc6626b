// Launching a kernel with its programmatic dependency and cluster.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "backend/cuda/cuda_check.h"

namespace octavo::cuda {

// Where a launch goes; made from a LaunchContext by `on` (problem.h).
struct Launch {
  cudaStream_t stream = nullptr;
  bool programmatic = false;
};

struct Grid {
  dim3 blocks = 1;
  int threads = 1;
  int shared_bytes = 0;
  int cluster = 1;  // CTAs of a cluster, along x
};

// Every argument is converted to the kernel's parameter type here, so that a wrong count or type is
// a compile error. An empty grid is a call with nothing to do.
template <typename... Params>
void launch(const Launch& where, const Grid& grid, void (*kernel)(Params...),
            const std::type_identity_t<Params>&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = grid.blocks;
  config.blockDim = dim3(grid.threads);
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = where.stream;
  config.attrs = attributes;
  if (where.programmatic) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (grid.cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(grid.cluster), 1, 1};
  }
  OCTAVO_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
}

// Raises the kernel's limit of dynamic shared memory; cheap enough to repeat before each launch.
template <typename... Params>
void allow_shared_memory(void (*kernel)(Params...), int bytes) {
  if (bytes <= 48 * 1024) return;
  OCTAVO_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

// How many of the grid's clusters can be resident at once on an idle device.
template <typename... Params>
int resident_clusters(void (*kernel)(Params...), const Grid& grid) {
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(grid.cluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = grid.blocks;
  config.blockDim = dim3(grid.threads);
  config.dynamicSmemBytes = grid.shared_bytes;
  config.attrs = &cluster;
  config.numAttrs = 1;
  int count = 0;
  OCTAVO_CUDA_CHECK(cudaOccupancyMaxActiveClusters(&count, kernel, &config));
  return count;
}

constexpr int64_t blocks_for(int64_t items, int64_t per_block) {
  return (items + per_block - 1) / per_block;
}

}  // namespace octavo::cuda

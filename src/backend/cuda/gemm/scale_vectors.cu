// Spreads the scales of a merged weight's segments over its rows.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/gemm/cublaslt.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) scale_vectors_kernel(ScaleVectors vectors) {
  device::wait_for_dependencies();
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i < vectors.n) {
    int segment = 0;
    while (i >= vectors.segment_end[segment]) ++segment;
    vectors.to[i] = vectors.weight_scale[segment];
  } else if (i < vectors.n + vectors.m) {
    vectors.to[i] = *vectors.input_scale;
  }
}

}  // namespace

void launch_scale_vectors(const ScaleVectors& vectors, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(vectors.n + vectors.m, kThreads)));
  launch(where, grid, scale_vectors_kernel, vectors);
}

}  // namespace octavo::cuda

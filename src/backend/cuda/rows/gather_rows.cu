// Copies rows by index, 16 bytes a thread where everything is aligned.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/rows/gather_rows.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

// Word i of a row of which every four bytes are `other`.
template <typename Word>
__device__ Word other_word(uint32_t other, int64_t i) {
  return static_cast<Word>(other >> (8 * (i % 4)));
}
template <>
__device__ uint4 other_word<uint4>(uint32_t other, int64_t) {
  return make_uint4(other, other, other, other);
}

template <typename Word>
__global__ void __launch_bounds__(kThreads) copy_rows_kernel(RowCopy copy) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t row = blockIdx.x;
  const int64_t words = copy.row_bytes / sizeof(Word);
  const int64_t index = copy.index[row] - copy.first;
  auto* to = reinterpret_cast<Word*>(copy.to + row * copy.to_stride);
  if (copy.table_rows > 0 && (index < 0 || index >= copy.table_rows)) {
    for (int64_t i = blockIdx.y * kThreads + threadIdx.x; i < words; i += gridDim.y * kThreads)
      to[i] = other_word<Word>(copy.other, i);
    return;
  }
  const auto* from = reinterpret_cast<const Word*>(copy.from + index * copy.from_stride);
  for (int64_t i = blockIdx.y * kThreads + threadIdx.x; i < words; i += gridDim.y * kThreads)
    to[i] = from[i];
}

}  // namespace

void launch_row_copy(const RowCopy& copy, const Launch& where) {
  const bool wide = (reinterpret_cast<uintptr_t>(copy.from) | reinterpret_cast<uintptr_t>(copy.to) |
                     copy.from_stride | copy.to_stride | copy.row_bytes) %
                        16 ==
                    0;
  const int64_t words = wide ? copy.row_bytes / 16 : copy.row_bytes;
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(copy.rows),
                     static_cast<unsigned>(std::min<int64_t>(blocks_for(words, kThreads), 8)));
  if (wide) return launch(where, grid, copy_rows_kernel<uint4>, copy);
  launch(where, grid, copy_rows_kernel<uint8_t>, copy);
}

}  // namespace octavo::cuda

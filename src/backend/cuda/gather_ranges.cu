// One kernel instead of a copy for each array: a step's inputs are many and small.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gather_ranges.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerRange = 16;

struct Ranges {
  CopyRange range[Device::kMaxRanges];
};

// blockIdx.y: the range. Words of all its rows are dealt to the threads in turn, so that many reads
// of host memory are in flight at once.
__global__ void __launch_bounds__(kThreads) gather_ranges(const __grid_constant__ Ranges ranges) {
  const CopyRange& range = ranges.range[blockIdx.y];
  const int64_t words = range.bytes / 4;
  const int64_t total = words * range.rows;
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < total; i += step) {
    const int64_t row = range.rows == 1 ? 0 : i / words;
    const int64_t word = i - row * words;
    reinterpret_cast<uint32_t*>(range.to + row * range.to_pitch)[word] =
        reinterpret_cast<const uint32_t*>(range.from + row * range.from_pitch)[word];
  }
}

}  // namespace

void launch_gather_ranges(const CopyRange* ranges, int count, const Launch& where) {
  Ranges all = {};
  for (int i = 0; i < count; ++i) all.range[i] = ranges[i];
  launch(where, {.blocks = dim3(kBlocksPerRange, count), .threads = kThreads}, gather_ranges, all);
}

}  // namespace octavo::cuda

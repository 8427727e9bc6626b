// Which rows of a matrix are whose: of a rank, of its blocks, and of the groups of their threads.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace octavo::cuda {

// Rows [first, first + rows) of all; ceil(all / ranks) a rank, as many as are left for the last.
struct RowShare {
  int64_t first = 0;
  int64_t rows = 0;
};
constexpr RowShare row_share(int64_t all, int ranks, int index) {
  const int64_t each = (all + ranks - 1) / ranks;
  const int64_t first = each * index;
  const int64_t left = all > first ? all - first : 0;
  return {.first = first, .rows = left < each ? left : each};
}

// How many blocks of how many groups take the rows of a share in turns: group g of block b has rows
// b × groups + g, and every blocks × groups rows one more. A row is a group's, and a block has one
// until all blocks have: what one group waits for then keeps no other from its row.
struct RowGrid {
  int blocks = 1;
  int groups = 1;  // of a block
};
inline constexpr int kMostRowGroups = 8;  // each has a barrier of its own, of which there are 16
constexpr RowGrid row_grid(int64_t rows, int group_threads, int most_threads, int most_blocks) {
  RowGrid grid;
  if (rows > most_blocks) {
    const int fit = most_threads / group_threads;
    grid.groups = fit < 1 ? 1 : fit < kMostRowGroups ? fit : kMostRowGroups;
  }
  const int64_t blocks = (rows + grid.groups - 1) / grid.groups;
  grid.blocks = static_cast<int>(blocks < 1 ? 1 : blocks < most_blocks ? blocks : most_blocks);
  return grid;
}
__host__ __device__ constexpr int64_t first_row_of(const RowGrid& grid, int block, int group) {
  return static_cast<int64_t>(block) * grid.groups + group;
}
__host__ __device__ constexpr int64_t row_step_of(const RowGrid& grid) {
  return static_cast<int64_t>(grid.blocks) * grid.groups;
}

}  // namespace octavo::cuda

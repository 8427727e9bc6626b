// Rows of ranks, blocks and groups: each is somebody's, and nobody's twice.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/row_share.h"

#include <gtest/gtest.h>

#include <vector>

#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {
namespace {

TEST(RowShare, RanksHaveEveryRowOnceInTheirOrder) {
  for (int ranks = 1; ranks <= 8; ++ranks) {
    for (int64_t all = 0; all <= 70; ++all) {
      int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const RowShare share = row_share(all, ranks, rank);
        ASSERT_LE(share.rows, row_share(all, ranks, 0).rows);  // the first has the most
        if (share.rows > 0) ASSERT_EQ(share.first, next);
        ASSERT_EQ(share.first, rank * ((all + ranks - 1) / ranks));  // as the shape rule says
        next += share.rows;
      }
      ASSERT_EQ(next, all) << ranks;
    }
  }
}

TEST(RowShare, GroupsOfAllBlocksHaveEveryRowOnce) {
  for (const int width : {256, 1024, 2048, 4096, 5120, 8192, 12288, 16384}) {
    const int threads = norm_layout(width, 8).threads;
    for (const int most_blocks : {1, 16, 128}) {
      for (const int64_t rows : {0, 1, 2, 17, 127, 128, 129, 255, 1024, 2500}) {
        const RowGrid grid = row_grid(rows, threads, kMaxNormThreads, most_blocks);
        ASSERT_GE(grid.blocks, 1);
        ASSERT_LE(grid.blocks, most_blocks);
        ASSERT_GE(grid.groups, 1);
        ASSERT_LE(grid.groups, kMostRowGroups);
        ASSERT_LE(grid.groups * threads, kMaxNormThreads);
        std::vector<int> taken(static_cast<size_t>(rows));
        for (int block = 0; block < grid.blocks; ++block) {
          for (int group = 0; group < grid.groups; ++group) {
            for (int64_t row = first_row_of(grid, block, group); row < rows;
                 row += row_step_of(grid))
              ++taken[static_cast<size_t>(row)];
          }
        }
        for (const int times : taken) ASSERT_EQ(times, 1) << width << ' ' << rows;
      }
    }
  }
}

// 70B's rows: 256 threads hold one, and two groups of a block have one each where rows are many.
TEST(RowShare, RowsOf8192AreTwoABlock) {
  EXPECT_EQ(row_grid(1024, norm_layout(8192, 8).threads, kMaxNormThreads, 128).groups, 2);
  EXPECT_EQ(row_grid(64, norm_layout(8192, 8).threads, kMaxNormThreads, 128).blocks, 64);
  EXPECT_EQ(row_grid(64, norm_layout(8192, 8).threads, kMaxNormThreads, 128).groups, 1);
}

}  // namespace
}  // namespace octavo::cuda

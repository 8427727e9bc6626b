// Tiles of experts' rows: every output is made once, whatever the rows of each expert.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/expert_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace octavo::cuda::large {
namespace {

std::vector<int32_t> offsets_of(const std::vector<int32_t>& counts) {
  std::vector<int32_t> offsets = {0};
  for (const int32_t count : counts) offsets.push_back(offsets.back() + count);
  return offsets;
}

ExpertTiles tiles_of(const std::vector<int32_t>& offsets, int columns, int outputs) {
  ExpertTiles tiles = ExpertTiles::of(columns, outputs);
  tiles.offsets = offsets.data();
  tiles.experts = static_cast<int>(offsets.size()) - 1;
  return tiles;
}

// How often each output is made by a grid of so many clusters, and rows of other experts touched.
std::vector<int> times_made(const ExpertTiles& tiles, int rows, int columns, int clusters) {
  std::vector<int> made(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  const int count = tiles.count();
  for (int cluster = 0; cluster < clusters; ++cluster) {
    for (int index = cluster; index < count; index += clusters) {
      ExpertTile pair[kCluster];
      for (int rank = 0; rank < kCluster; ++rank) {
        const ExpertTile tile = pair[rank] = tiles.at(index, rank);
        EXPECT_GE(tile.token, tiles.offsets[tile.expert]);
        EXPECT_EQ(tile.end, tiles.offsets[tile.expert + 1]);
        EXPECT_LT(tile.token, tile.end);  // no CTA multiplies rows of nobody
        for (int token = tile.token; token < std::min(tile.token + kTokens, tile.end); ++token) {
          for (int c = tile.column; c < std::min(tile.column + tiles.outputs, columns); ++c)
            ++made[static_cast<size_t>(token) * static_cast<size_t>(columns) +
                   static_cast<size_t>(c)];
        }
      }
      // What the CTAs share must be the same for both.
      EXPECT_EQ(pair[0].expert, pair[1].expert);
      EXPECT_EQ(pair[0].share_x, pair[1].share_x);
      EXPECT_EQ(pair[0].share_x ? pair[0].token : pair[0].column,
                pair[0].share_x ? pair[1].token : pair[1].column);
    }
  }
  return made;
}

void expect_each_once(const std::vector<int32_t>& counts, int columns, int outputs) {
  const std::vector<int32_t> offsets = offsets_of(counts);
  const ExpertTiles tiles = tiles_of(offsets, columns, outputs);
  for (const int clusters : {1, 5, 66}) {
    const std::vector<int> made = times_made(tiles, offsets.back(), columns, clusters);
    EXPECT_TRUE(std::ranges::all_of(made, [](int times) { return times == 1; }))
        << clusters << " clusters, " << columns << " columns by " << outputs;
  }
}

TEST(ExpertTiles, EveryOutputIsMadeOnce) {
  for (const int outputs : {128, 256}) {
    for (const int columns : {8, 256, 264, 600}) {
      expect_each_once({0, 0}, columns, outputs);
      expect_each_once({1}, columns, outputs);
      expect_each_once({0, 128, 0, 129, 1, 0, 255, 256, 257}, columns, outputs);
      expect_each_once({0, 0, 700, 0}, columns, outputs);
    }
  }
  expect_each_once({5000, 3, 2049}, 520, 256);  // more than a band of tokens
}

TEST(ExpertTiles, RandomRowsOfManyExperts) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<int32_t> counts(static_cast<size_t>(1 + random() % 64));
    for (int32_t& count : counts)
      count = random() % 3 == 0 ? 0 : static_cast<int32_t>(random() % 400);
    expect_each_once(counts, 8 * (1 + static_cast<int>(random() % 60)), 256);
  }
}

// No expert costs more than its rows rounded up to a tile; those without rows cost nothing.
TEST(ExpertTiles, NothingIsPaddedToTheLargestExpert) {
  const std::vector<int32_t> offsets = offsets_of({0, 300, 0, 10});
  const ExpertTiles tiles = tiles_of(offsets, 1024, 256);
  // 300 rows: a pair of tiles over 4 columns of tiles, and one tile over 2 pairs of columns.
  EXPECT_EQ(tiles.count(), 4 + 2 + 2);
}

}  // namespace
}  // namespace octavo::cuda::large

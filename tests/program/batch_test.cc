// Assembly of a step's metadata.
// SPDX-License-Identifier: Apache-2.0
#include "program/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octavo {
namespace {

using testing::ElementsAre;

TEST(Batch, PositionsSlotsAndTables) {
  Batch batch;
  batch.table_width = 3;
  EXPECT_EQ(batch.append({7, 8, 9}, 0, {5}, 4), 0);
  EXPECT_EQ(batch.append({4}, 6, {2, 9}, 4), 3);
  EXPECT_THAT(batch.token_ids, ElementsAre(7, 8, 9, 4));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, 6));
  EXPECT_THAT(batch.slots, ElementsAre(20, 21, 22, 9 * 4 + 2));
  EXPECT_THAT(batch.query_start, ElementsAre(0, 3));
  EXPECT_THAT(batch.query_length, ElementsAre(3, 1));
  EXPECT_THAT(batch.kv_length, ElementsAre(3, 7));
  EXPECT_THAT(batch.block_table, ElementsAre(5, 0, 0, 2, 9, 0));
  EXPECT_EQ(batch.sizes(11).tokens, 4);
  EXPECT_EQ(batch.sizes(11).cache_blocks, 11);
  batch.clear();
  EXPECT_EQ(batch.sizes(0).tokens, 0);
  EXPECT_EQ(batch.table_width, 3);
}

TEST(Batch, RefusesTokensBeyondTheBlocks) {
  Batch batch;
  batch.table_width = 1;
  EXPECT_THROW(batch.append({1, 2, 3}, 2, {0}, 4), Error);
}

}  // namespace
}  // namespace octavo

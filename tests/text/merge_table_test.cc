// The flat table finds what was put in, and nothing else.
// SPDX-License-Identifier: Apache-2.0
#include "text/merge_table.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(MergeTable, FindsAllPairs) {
  MergeTable table(1000);
  for (int32_t i = 0; i < 1000; ++i) table.set(i, 7 * i, {static_cast<uint32_t>(i), i + 1});
  for (int32_t i = 0; i < 1000; ++i) {
    const Merge* merge = table.find(i, 7 * i);
    ASSERT_NE(merge, nullptr);
    EXPECT_EQ(merge->rank, static_cast<uint32_t>(i));
    EXPECT_EQ(merge->result, i + 1);
    EXPECT_EQ(table.find(7 * i + 1, i), nullptr);
  }
}

TEST(MergeTable, TheLastRankOfAPairCounts) {
  MergeTable table(2);
  table.set(1, 2, {0, 5});
  table.set(1, 2, {1, 6});
  EXPECT_EQ(table.find(1, 2)->rank, 1u);
  EXPECT_EQ(table.find(1, 2)->result, 6);
}

TEST(MergeTable, AnEmptyTableHasNoPair) { EXPECT_EQ(MergeTable(0).find(0, 0), nullptr); }

}  // namespace
}  // namespace octavo

// Places of ranks.
// SPDX-License-Identifier: Apache-2.0
#include "comm/comm.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(RankPlace, StagesAreGroupsOfNeighbours) {
  const RankPlace place{.tp_size = 2, .pp_size = 3, .rank = 3};
  EXPECT_EQ(place.ranks(), 6);
  EXPECT_EQ(place.stage(), 1);
  EXPECT_EQ(place.index(), 1);
  EXPECT_FALSE(place.is_first_stage() || place.is_last_stage());
  EXPECT_TRUE((RankPlace{.tp_size = 2, .pp_size = 3, .rank = 1}.is_first_stage()));
  EXPECT_TRUE((RankPlace{.tp_size = 2, .pp_size = 3, .rank = 4}.is_last_stage()));
  EXPECT_TRUE(RankPlace{}.is_first_stage() && RankPlace{}.is_last_stage());
}

}  // namespace
}  // namespace octavo

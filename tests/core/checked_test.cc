// Checked arithmetic reports every overflow.
// SPDX-License-Identifier: Apache-2.0
#include "core/checked.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(CheckedTest, MultipliesUpToTheLimit) {
  EXPECT_EQ(checked_mul<int64_t>(1 << 30, 1 << 30), int64_t{1} << 60);
  EXPECT_EQ(checked_mul<int64_t>(INT64_MAX, 1), INT64_MAX);
  EXPECT_EQ(checked_mul<int64_t>(INT64_MIN, -1), std::nullopt);
  EXPECT_EQ(checked_mul<int64_t>(int64_t{1} << 32, int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_mul<uint64_t>(UINT64_MAX, 2), std::nullopt);
  EXPECT_EQ(checked_mul<int64_t>(0, INT64_MIN), 0);
}

TEST(CheckedTest, AddsUpToTheLimit) {
  EXPECT_EQ(checked_add<int64_t>(INT64_MAX - 1, 1), INT64_MAX);
  EXPECT_EQ(checked_add<int64_t>(INT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add<int64_t>(INT64_MIN, -1), std::nullopt);
  EXPECT_EQ(checked_add<uint8_t>(200, 56), std::nullopt);
}

TEST(CheckedTest, CastsOnlyWhatFits) {
  EXPECT_EQ((checked_cast<int32_t>(int64_t{INT32_MAX})), INT32_MAX);
  EXPECT_EQ((checked_cast<int32_t>(int64_t{INT32_MAX} + 1)), std::nullopt);
  EXPECT_EQ((checked_cast<uint64_t>(int64_t{-1})), std::nullopt);
  EXPECT_EQ((checked_cast<int64_t>(UINT64_MAX)), std::nullopt);
}

TEST(CheckedTest, RoundsUp) {
  EXPECT_EQ(ceil_div(0, 16), 0);
  EXPECT_EQ(ceil_div(1, 16), 1);
  EXPECT_EQ(ceil_div(16, 16), 1);
  EXPECT_EQ(ceil_div(17, 16), 2);
  EXPECT_EQ(round_up(17, 16), 32);
  EXPECT_EQ(round_up(32, 16), 32);
}

}  // namespace
}  // namespace octavo

// Statistics of multiple-choice runs, against values worked out by hand.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/choice.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(ChoiceStatistics, WilsonsInterval) {
  const Interval half = proportion_interval(50, 100);
  EXPECT_NEAR(half.low, 0.4038, 1e-4);
  EXPECT_NEAR(half.high, 0.5962, 1e-4);
  const Interval none = proportion_interval(0, 10);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_NEAR(none.high, 0.2775, 1e-4);
  EXPECT_NEAR(proportion_interval(10, 10).high, 1.0, 1e-12);
}

// Two-sided sums of a binomial with p = 1/2.
TEST(ChoiceStatistics, ThePairedTestIsExact) {
  EXPECT_EQ(paired_p_value(0, 0), 1.0);
  EXPECT_NEAR(paired_p_value(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(paired_p_value(1, 9), 2.0 * 11 / 1024, 1e-12);
  EXPECT_EQ(paired_p_value(4, 4), 1.0);
  EXPECT_NEAR(paired_p_value(300, 420), paired_p_value(420, 300), 1e-15);
  EXPECT_LT(paired_p_value(300, 420), 1e-5);
}

}  // namespace
}  // namespace octavo

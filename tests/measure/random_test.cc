// Random: fixed sequences, exact ranges, moments of the distributions.
// SPDX-License-Identifier: Apache-2.0
#include "measure/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace octavo {
namespace {

TEST(Random, TheStandardFixesTheSequence) {
  Random random(5489);  // default seed: the standard states the 10000th value
  for (int i = 0; i < 9999; ++i) random.bits();
  EXPECT_EQ(random.bits(), 9981545732273789042u);
}

TEST(Random, BelowCoversItsRangeEvenly) {
  Random random(1);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  // Each count is binomial with a standard deviation of 92.6; five of them.
  for (const int count : counts) EXPECT_NEAR(count, 10000, 463);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_LT(random.below(uint64_t{1} << 63), uint64_t{1} << 63);
}

TEST(Random, NormalHasItsMoments) {
  Random random(2);
  constexpr int kDraws = 100000;
  double sum = 0, squares = 0;
  int within_one = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal(3, 2);
    sum += value;
    squares += (value - 3) * (value - 3);
    within_one += std::abs(value - 3) < 2 ? 1 : 0;
  }
  // Five standard errors: 2/sqrt(n), 4·sqrt(2/n), sqrt(p(1 − p)/n).
  EXPECT_NEAR(sum / kDraws, 3, 0.032);
  EXPECT_NEAR(squares / kDraws, 4, 0.09);
  EXPECT_NEAR(within_one / static_cast<double>(kDraws), 0.68269, 0.0074);
}

TEST(Random, NormalWithoutSpreadIsItsMean) {
  Random random(3);
  EXPECT_EQ(random.normal(2048, 0), 2048);
}

TEST(Random, ExponentialHasItsMean) {
  Random random(4);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = random.exponential(0.5);
    ASSERT_GE(value, 0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.008);
}

TEST(PortableLog, AgreesWithTheLibraryToAFewUlps) {
  Random random(5);
  for (int i = 0; i < 10000; ++i) {
    const double x =
        std::ldexp(random.uniform() + 0x1p-60, static_cast<int>(random.below(200)) - 100);
    EXPECT_NEAR(portable_log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
  EXPECT_EQ(portable_log(1), 0);
}

}  // namespace
}  // namespace octavo

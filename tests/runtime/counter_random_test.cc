// The generator that every backend must reproduce: fixed values, range, uniformity.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/counter_random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace octavo {
namespace {

// From the same formula in Python's integers: other backends and languages must agree.
TEST(CounterRandom, HasFixedValues) {
  struct Row {
    uint64_t seed, index, value;
  };
  for (const Row& row : std::initializer_list<Row>{{0u, 0u, 0xA706DD2F4D197E6Fu},
                                                   {0u, 1u, 0xB382A305F4414F5Eu},
                                                   {1u, 0u, 0x5E41AB087439611Eu},
                                                   {1234u, 56789u, 0x4E290238FBDD9129u}}) {
    EXPECT_EQ(counter_random(row.seed, row.index), row.value);
  }
}

TEST(CounterRandom, IsAPureFunctionWithoutShortRepeats) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t index = 0; index < 100; ++index) {
      EXPECT_EQ(counter_random(seed, index), counter_random(seed, index));
      seen.insert(counter_random(seed, index));
    }
  }
  EXPECT_EQ(seen.size(), 10000u);
}

TEST(CounterRandom, StaysBelowOne) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, std::numeric_limits<uint64_t>::max()}) {
    for (uint64_t index = 0; index < 10000; ++index) {
      const double u = counter_uniform(seed, index);
      ASSERT_GE(u, 0);
      ASSERT_LT(u, 1);
    }
  }
}

// Chi-squared over 64 cells, along the index and along the seed: 63 degrees of freedom, and
// 63 + 5 * sqrt(126) is exceeded by chance about once in a million.
TEST(CounterRandom, IsUniformAlongBothArguments) {
  for (const bool along_seed : {false, true}) {
    std::array<int, 64> cells{};
    constexpr int kDraws = 64000;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const double u = along_seed ? counter_uniform(i, 3) : counter_uniform(3, i);
      ++cells[static_cast<size_t>(u * 64)];
    }
    double chi = 0;
    for (const int count : cells) chi += std::pow(count - kDraws / 64, 2) / (kDraws / 64);
    EXPECT_LT(chi, 63 + 5 * std::sqrt(126.0));
  }
}

}  // namespace
}  // namespace octavo

// Which rows the greedy kernel serves.
// SPDX-License-Identifier: Apache-2.0
#include "ops/sampling.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo {
namespace {

TEST(Sampling, GreedyRowsAskForNothingElse) {
  std::vector<SamplingRow> rows(3, SamplingRow{.slot = 1});
  EXPECT_TRUE(only_greedy(rows));
  EXPECT_TRUE(only_greedy({}));
  for (const auto change : {+[](SamplingRow& row) { row.greedy = false; },
                            +[](SamplingRow& row) { row.has_penalties = true; },
                            +[](SamplingRow& row) { row.ban_ends = true; },
                            +[](SamplingRow& row) { row.logprobs = true; }}) {
    std::vector<SamplingRow> changed = rows;
    change(changed[1]);
    EXPECT_FALSE(only_greedy(changed));
    changed[1].slot = -1;  // padding
    EXPECT_TRUE(only_greedy(changed));
  }
}

}  // namespace
}  // namespace octavo

// Searches over a known landscape: what is tried, what it costs, what wins.
// SPDX-License-Identifier: Apache-2.0
#include "tune/search.h"

#include <gtest/gtest.h>

#include <map>

namespace octavo {
namespace {

// The larger the candidate's number, the better; multiples of five cannot run.
std::optional<double> landscape(size_t candidate, int64_t, int64_t) {
  if (candidate % 5 == 0) return std::nullopt;
  return static_cast<double>(candidate);
}

TEST(Search, TheGridTriesEverything) {
  const auto trials = search_grid(7, 100, landscape);
  EXPECT_EQ(trials.size(), 7u);
  EXPECT_EQ(full_trials(trials, 100), 7.0);
  EXPECT_EQ(best_candidate(trials, 100), 6u);
}

TEST(Search, HalvingFindsTheBestAtAFractionOfTheCost) {
  std::map<int64_t, int> by_size;
  const auto trials =
      search_halving(24, 90, 4, [&](size_t candidate, int64_t requests, int64_t turn) {
        ++by_size[requests];
        return landscape(candidate, requests, turn);
      });
  EXPECT_EQ(best_candidate(trials, 90), 23u);
  EXPECT_EQ(by_size[10], 24);
  EXPECT_EQ(by_size[30], 7);  // a third of the 19 that ran
  EXPECT_EQ(by_size[90], 2 * 3);
  EXPECT_LE(full_trials(trials, 90), 12.0);  // half of the grid
}

// One lucky trial does not win: the last ones are measured in turns, there and back.
TEST(Search, TheLastCandidatesTakeTurns) {
  std::vector<size_t> order;
  const auto trials = search_halving(3, 90, 4, [&](size_t candidate, int64_t, int64_t turn) {
    order.push_back(candidate);
    const double luck = candidate == 0 && turn == 0 ? 2.5 : 0.0;
    return std::optional(static_cast<double>(candidate) + luck);
  });
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 2, 1, 0}));
  EXPECT_EQ(best_candidate(trials, 90), 2u);
}

TEST(Search, HalvingKeepsALeastSizeAndEndsWithAllRequests) {
  const auto trials = search_halving(9, 10, 6, landscape);
  for (const Trial& trial : trials) EXPECT_GE(trial.requests, 6);
  EXPECT_EQ(best_candidate(trials, 10), 8u);
  EXPECT_EQ(search_halving(1, 10, 4, landscape).size(), 1u);
  EXPECT_FALSE(best_candidate(search_halving(1, 10, 4, landscape), 10));
  EXPECT_TRUE(search_halving(0, 10, 4, landscape).empty());
}

TEST(Search, TheFrontIsWhatNoOtherBeatsInBoth) {
  const std::vector<std::pair<double, double>> points = {{5, 10}, {1, 3}, {2, 8},
                                                         {2, 9},  {4, 9}, {3, 1}};
  EXPECT_EQ(pareto_front(points), (std::vector<size_t>{1, 3, 0}));
  EXPECT_TRUE(pareto_front({}).empty());
}

}  // namespace
}  // namespace octavo

// Search: which combinations to try with how many requests, knowing results alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace octavo {

struct Trial {
  size_t candidate = 0;
  int64_t requests = 0;
  int64_t turn = 0;             // of those that measure a candidate with so many requests again
  std::optional<double> score;  // larger is better; nothing where it could not run
};

// Runs one candidate with so many requests; nothing where it is no candidate after all.
using TrialRunner =
    std::function<std::optional<double>(size_t candidate, int64_t requests, int64_t turn)>;

// Every candidate with all requests.
std::vector<Trial> search_grid(size_t candidates, int64_t requests, const TrialRunner& run);

// Successive halving: every candidate with few requests, the better third of them with three times
// as many, and so on to all requests. At least `least` requests a trial. The last few take two
// turns, the second backwards: one trial each is not sure enough to tell them apart.
std::vector<Trial> search_halving(size_t candidates, int64_t requests, int64_t least,
                                  const TrialRunner& run);

// The candidate that is best on average in its trials with all requests; nothing where none ran.
std::optional<size_t> best_candidate(const std::vector<Trial>& trials, int64_t requests);

// What the trials cost, in trials with all requests.
double full_trials(const std::vector<Trial>& trials, int64_t requests);

// Of points (cost to keep small, gain to keep large) those that no other beats in both; ascending
// by cost.
std::vector<size_t> pareto_front(const std::vector<std::pair<double, double>>& points);

}  // namespace octavo

// Exhaustive search and successive halving.
// SPDX-License-Identifier: Apache-2.0
#include "tune/search.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace octavo {
namespace {

constexpr size_t kFactor = 3;
constexpr int64_t kLastTurns = 2;

// A turn of trials, appended to `trials`.
void run_turn(const std::vector<size_t>& candidates, int64_t requests, int64_t turn,
              const TrialRunner& run, std::vector<Trial>& trials) {
  for (const size_t candidate : candidates)
    trials.push_back({candidate, requests, turn, run(candidate, requests, turn)});
}

}  // namespace

std::vector<Trial> search_grid(size_t candidates, int64_t requests, const TrialRunner& run) {
  std::vector<Trial> trials;
  std::vector<size_t> all(candidates);
  std::iota(all.begin(), all.end(), size_t{0});
  run_turn(all, requests, 0, run, trials);
  return trials;
}

std::vector<Trial> search_halving(size_t candidates, int64_t requests, int64_t least,
                                  const TrialRunner& run) {
  int64_t rungs = 1;
  for (size_t left = candidates; left > kFactor; left /= kFactor) ++rungs;
  int64_t now = requests;
  for (int64_t i = 1; i < rungs; ++i) now /= static_cast<int64_t>(kFactor);
  std::vector<size_t> alive(candidates);
  std::iota(alive.begin(), alive.end(), size_t{0});
  std::vector<Trial> trials;
  for (int64_t rung = 0; rung < rungs; ++rung, now *= static_cast<int64_t>(kFactor)) {
    const bool last = rung + 1 == rungs;
    const int64_t size = last ? requests : std::clamp(now, std::min(least, requests), requests);
    std::vector<Trial> results;
    run_turn(alive, size, 0, run, results);
    trials.insert(trials.end(), results.begin(), results.end());
    for (int64_t turn = 1; last && alive.size() > 1 && turn < kLastTurns; ++turn) {
      std::ranges::reverse(alive);
      run_turn(alive, size, turn, run, trials);
    }
    std::erase_if(results, [](const Trial& trial) { return !trial.score; });
    std::ranges::stable_sort(results,
                             [](const Trial& a, const Trial& b) { return a.score > b.score; });
    const size_t keep = std::max<size_t>(1, (results.size() + kFactor - 1) / kFactor);
    alive.clear();
    for (size_t i = 0; i < std::min(keep, results.size()); ++i)
      alive.push_back(results[i].candidate);
  }
  return trials;
}

std::optional<size_t> best_candidate(const std::vector<Trial>& trials, int64_t requests) {
  std::map<size_t, std::pair<double, int>> sums;
  for (const Trial& trial : trials) {
    if (trial.requests != requests || !trial.score) continue;
    auto& [sum, count] = sums[trial.candidate];
    sum += *trial.score;
    ++count;
  }
  const auto average = [](const auto& entry) { return entry.second.first / entry.second.second; };
  const auto best = std::ranges::max_element(sums, {}, average);
  return best == sums.end() ? std::nullopt : std::optional(best->first);
}

double full_trials(const std::vector<Trial>& trials, int64_t requests) {
  double sum = 0.0;
  for (const Trial& trial : trials)
    sum += static_cast<double>(trial.requests) / static_cast<double>(requests);
  return sum;
}

std::vector<size_t> pareto_front(const std::vector<std::pair<double, double>>& points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&points](size_t a, size_t b) {
    return points[a].first != points[b].first ? points[a].first < points[b].first
                                              : points[a].second > points[b].second;
  });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || points[i].second > points[front.back()].second) front.push_back(i);
  }
  return front;
}

}  // namespace octavo

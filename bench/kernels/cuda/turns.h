// Things that are timed in turns, so that all meet the same clocks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <thread>

#include "kernels/cuda/groups.h"

namespace octavo::bench {

inline constexpr int kRounds = 7;
// Between replays, so that the power limit does not slow down whoever comes last.
inline constexpr std::chrono::milliseconds kPause(4);

// A thing to time; candidates are replayed in turns, so that all meet the same clocks. Own kernels
// are launched as the engine launches them, programmatically.
struct Candidate {
  std::string name;
  std::function<void(int)> call;
  std::vector<float> us = {};

  double median() {
    std::sort(us.begin(), us.end());
    return us[us.size() / 2];
  }
};

inline void time_in_turns(Bench& bench, int calls, std::vector<Candidate>& candidates) {
  std::vector<std::unique_ptr<Graph>> graphs;
  for (const Candidate& candidate : candidates) {
    graphs.push_back(std::make_unique<Graph>(bench.stream, [&] {
      for (int i = 0; i < calls; ++i) candidate.call(i);
    }));
    graphs.back()->replay_us();
  }
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      std::this_thread::sleep_for(kPause);
      candidates[i].us.push_back(graphs[i]->replay_us() / static_cast<float>(calls));
    }
  }
}

}  // namespace octavo::bench

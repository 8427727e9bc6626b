// How the low-latency linear cuts its work.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/low_latency.h"

#include <fmt/format.h>

#include <algorithm>

namespace octavo::cuda {
namespace {

constexpr int kTileRows = 64;
constexpr int kAtomRows = 8;  // of a swizzled KiB

constexpr int round_up(int value, int multiple) { return ceil_divide(value, multiple) * multiple; }

int ring_bytes(int m, const LowLatencyConfig& config) {
  return config.depth * config.steps * (config.rows + low_latency_tokens(m)) * kLowLatencyStep;
}

// Sums, scales and barriers; the last product may read past a short tile at the ring's end.
int rest_bytes(int m, int rows) {
  const int tiles = ceil_divide(rows, kTileRows);
  return std::max(low_latency_rest_bytes(low_latency_tokens(m), tiles),
                  (kTileRows * tiles - rows) * kLowLatencyStep);
}

}  // namespace

std::string to_string(const LowLatencyConfig& c) {
  return fmt::format("rows {} steps {} depth {} split {} passes {} prefetch {}", c.rows, c.steps,
                     c.depth, c.split, c.passes, c.prefetch);
}

int low_latency_shared_bytes(int m, const LowLatencyConfig& config) {
  return ring_bytes(m, config) + rest_bytes(m, config.rows);
}

LowLatencyConfig cut_low_latency(int m, int n, int k, int ctas, int split, int shared_bytes) {
  LowLatencyConfig config;
  config.split = split;
  const int each = ceil_divide(n, std::max(1, ctas / split));
  config.passes = split > 1 ? 1 : ceil_divide(each, kLowLatencyMaxRows);
  config.rows = std::min(round_up(ceil_divide(each, config.passes), kAtomRows), kLowLatencyMaxRows);
  const int room = shared_bytes - rest_bytes(m, config.rows);
  const int share = ceil_divide(ceil_divide(k, kLowLatencyStep), split);
  config.depth = 1;
  for (config.steps = 4;; config.steps /= 2) {
    const int fits = room / ring_bytes(m, config);
    if ((fits >= 4 && config.steps <= share) || config.steps == 1) {
      const int stages = config.passes * ceil_divide(share, config.steps);
      config.depth = std::min({fits, stages, kLowLatencyMaxDepth});
      return config;
    }
  }
}

std::vector<LowLatencyConfig> low_latency_candidates(int m, int n, int k, int multiprocessors) {
  std::vector<LowLatencyConfig> candidates = {low_latency_config(m, n, k, multiprocessors)};
  for (const int split : {1, 2, 4}) {
    for (const int shared : {kLowLatencySharedRoom, 2 * kLowLatencySharedRoom}) {
      for (const int ctas : {multiprocessors, 2 * multiprocessors}) {
        if (ctas > multiprocessors && shared > kLowLatencySharedRoom) continue;
        const LowLatencyConfig config = cut_low_latency(m, n, k, ctas, split, shared);
        if (config.depth >= 2) candidates.push_back(config);
      }
    }
  }
  return candidates;
}

LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors) {
  return cut_low_latency(m, n, k, multiprocessors, 1, kLowLatencySharedRoom);
}

}  // namespace octavo::cuda

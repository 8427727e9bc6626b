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
  return fmt::format("rows {} steps {} depth {} split {} passes {}", c.rows, c.steps, c.depth,
                     c.split, c.passes);
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
  config.steps = 4;
  if (share < config.steps || room / ring_bytes(m, config) < 3) config.steps = 2;
  const int stages = config.passes * ceil_divide(share, config.steps);
  config.depth = std::min({room / ring_bytes(m, config), stages, kLowLatencyMaxDepth});
  return config;
}

std::vector<LowLatencyConfig> low_latency_candidates(int m, int n, int k, int multiprocessors) {
  // Alone on a multiprocessor, or beside another CTA of this kernel or of the next.
  constexpr int kHalf = kLowLatencySharedBytes / 2 - 1024;
  std::vector<LowLatencyConfig> candidates = {low_latency_config(m, n, k, multiprocessors)};
  for (const int split : {1, 2, 4}) {
    candidates.push_back(cut_low_latency(m, n, k, multiprocessors, split, kLowLatencySharedBytes));
    candidates.push_back(cut_low_latency(m, n, k, multiprocessors, split, kHalf));
    candidates.push_back(cut_low_latency(m, n, k, 2 * multiprocessors, split, kHalf));
  }
  std::erase_if(candidates, [](const LowLatencyConfig& config) { return config.depth < 1; });
  return candidates;
}

LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors) {
  constexpr int kFewRows = 32;        // tiles no taller are slower than adding up in a cluster
  constexpr int kMinCodes = 1 << 10;  // of K, for a CTA
  int split = 1;
  while (split < 4 && ceil_divide(n, multiprocessors / split) <= kFewRows &&
         k / split >= 2 * kMinCodes)
    split *= 2;
  return cut_low_latency(m, n, k, multiprocessors, split, kLowLatencySharedBytes);
}

}  // namespace octavo::cuda

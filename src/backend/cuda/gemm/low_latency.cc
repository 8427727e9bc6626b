// How the low-latency linear cuts its work.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/low_latency.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/cuda/tactic_words.h"
#include "core/error.h"

namespace octavo::cuda {
namespace {

constexpr int kTileRows = kLowLatencyTileRows;
constexpr int kAtomRows = 8;  // of a swizzled KiB
constexpr int kFill = 2;      // stages ahead of the kernel before, unless a tactic says otherwise

constexpr int round_up(int value, int multiple) { return ceil_divide(value, multiple) * multiple; }

// With so many rows of x in a stage.
int ring_bytes(int tokens, const LowLatencyConfig& config) {
  return config.depth * config.steps * (config.rows + tokens) * kLowLatencyStep;
}

// Of a CTA's share of K, normed.
int normed_bytes(int k, int split) {
  constexpr int kGroup = kLowLatencyMaxSteps * kLowLatencyStep;
  return ceil_divide(ceil_divide(k, kGroup), split) * kGroup * low_latency_tokens(1);
}

// The cut with a ring that makes the most of `room` bytes.
LowLatencyConfig with_ring(LowLatencyConfig config, int tokens, int k, int room) {
  const int share = ceil_divide(ceil_divide(k, kLowLatencyStep), config.split);
  config.depth = 1;
  config.steps = 4;
  if (share < config.steps || room / ring_bytes(tokens, config) < 3) config.steps = 2;
  const int stages = config.passes * ceil_divide(share, config.steps);
  config.depth = std::min({room / ring_bytes(tokens, config), stages, kLowLatencyMaxDepth});
  return config;
}

// Sums, scales and barriers; the last product may read past a short tile at the ring's end.
int rest_bytes(int m, int rows) {
  const int tiles = ceil_divide(rows, kTileRows);
  return std::max(low_latency_rest_bytes(low_latency_tokens(m), tiles),
                  (kTileRows * tiles - rows) * kLowLatencyStep);
}

TensorMapSpec codes_map(const uint8_t* data, int rows, int columns, int64_t stride, int box_rows,
                        int steps, bool halves) {
  const bool whole = columns % kLowLatencyStep == 0;
  TensorMapSpec spec;
  spec.data = data;
  spec.rank = halves ? 4 : 3;
  spec.sizes[0] = static_cast<uint64_t>(whole ? kLowLatencyStep : columns);
  spec.sizes[1] = static_cast<uint64_t>(rows);
  spec.strides[0] = static_cast<uint64_t>(stride);
  spec.box[0] = kLowLatencyStep;
  spec.box[1] = static_cast<uint32_t>(box_rows);
  if (halves) {
    spec.sizes[2] = spec.box[2] = 2;
    spec.strides[1] = static_cast<uint64_t>(stride) * static_cast<uint64_t>(rows);
  }
  const int step = spec.rank - 1;
  spec.sizes[step] = static_cast<uint64_t>(whole ? columns / kLowLatencyStep : 1);
  spec.strides[step - 1] = kLowLatencyStep;
  spec.box[step] = static_cast<uint32_t>(whole ? steps : 1);
  return spec;
}

}  // namespace

std::string to_string(const LowLatencyConfig& c) {
  const auto optional = [](const char* name, int value) {
    return value == 0 ? std::string() : fmt::format(" {} {}", name, value);
  };
  return fmt::format("rows {} steps {} depth {} split {} passes {}{}{}", c.rows, c.steps, c.depth,
                     c.split, c.passes, optional("lead", c.lead), optional("fill", c.fill));
}

LowLatencyConfig read_tactic(LowLatencyConfig config, std::string_view tactic, int m, int k) {
  constexpr int kMostStages = 1 << 16;
  TacticWords words(tactic);
  while (words.next()) {
    if (words.word() == "lead") {
      config.lead = words.number(1, kMostStages);
    } else if (words.word() == "fill") {
      config.fill = words.number(1, kMostStages);
    } else if (words.word() == "ring") {
      const int kibibytes = words.number(1, kLowLatencySharedBytes / 1024);
      const int room = kibibytes * 1024 - rest_bytes(m, config.rows);
      config = with_ring(config, low_latency_tokens(m), k, room);
      if (config.depth < 1) words.fail(fmt::format("no stage fits into {} KiB", kibibytes));
    } else {
      words.fail("the words of a low-latency linear are lead, fill and ring");
    }
  }
  return config;
}

LowLatencyConfig with_tactic(const LowLatencyConfig& config, std::string_view tactic, int m,
                             int k) {
  try {
    return read_tactic(config, tactic, m, k);
  } catch (const Error&) {
    return config;
  }
}

int low_latency_shared_bytes(int m, const LowLatencyConfig& config) {
  return ring_bytes(low_latency_tokens(m), config) + rest_bytes(m, config.rows);
}

LowLatencyConfig cut_low_latency(int m, int n, int k, int ctas, int split, int shared_bytes) {
  LowLatencyConfig config;
  config.split = split;
  const int each = ceil_divide(n, std::max(1, ctas / split));
  config.passes = split > 1 ? 1 : ceil_divide(each, kLowLatencyMaxRows);
  config.rows = std::min(round_up(ceil_divide(each, config.passes), kAtomRows), kLowLatencyMaxRows);
  return with_ring(config, low_latency_tokens(m), k, shared_bytes - rest_bytes(m, config.rows));
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

LowLatencyConfig normed_low_latency_config(int n, int k, int multiprocessors) {
  const LowLatencyConfig config = low_latency_config(1, n, k, multiprocessors);
  const int room = kLowLatencySharedBytes - rest_bytes(1, config.rows);
  return with_ring(config, 0, k, room - normed_bytes(k, config.split));
}

LowLatencyConfig normed_with_tactic(const LowLatencyConfig& config, std::string_view tactic,
                                    int k) {
  LowLatencyConfig changed = with_tactic(config, tactic, 1, k);
  changed.steps = config.steps;
  changed.depth = config.depth;
  return changed;
}

int normed_low_latency_shared_bytes(int k, const LowLatencyConfig& config) {
  return ring_bytes(0, config) + normed_bytes(k, config.split) + rest_bytes(1, config.rows);
}

LowLatencyCut low_latency_cut(int m, int n, int k, const LowLatencyConfig& config,
                              bool programmatic) {
  LowLatencyCut cut = {.config = config};
  if (cut.config.lead == 0) cut.config.lead = config.depth;
  if (cut.config.fill == 0) cut.config.fill = kFill;
  const int tiles = ceil_divide(n, config.rows);
  cut.tile_stride = ceil_divide(tiles, config.passes);
  cut.whole_rounds = tiles / cut.tile_stride;
  cut.more = tiles % cut.tile_stride;
  cut.stages = ceil_divide(k, config.steps * kLowLatencyStep);
  // Whole groups of the most steps a stage can have: the sums do not depend on `steps`.
  const int groups = ceil_divide(k, kLowLatencyMaxSteps * kLowLatencyStep);
  cut.share = ceil_divide(groups, config.split) * (kLowLatencyMaxSteps / config.steps);
  cut.x_bytes = config.steps * low_latency_tokens(m) * kLowLatencyStep;
  cut.stage_bytes = cut.x_bytes + config.steps * config.rows * kLowLatencyStep;
  cut.copies = k % kLowLatencyStep == 0 ? 1 : config.steps;
  cut.programmatic = programmatic;
  return cut;
}

LowLatencyCut normed_low_latency_cut(int n, int k, const LowLatencyConfig& config,
                                     bool programmatic) {
  LowLatencyCut cut = low_latency_cut(1, n, k, config, programmatic);
  cut.stage_bytes -= cut.x_bytes;
  cut.x_bytes = 0;
  return cut;
}

TensorMapSpec low_latency_map(const uint8_t* data, int rows, int columns, int64_t stride,
                              int box_rows, int steps) {
  return codes_map(data, rows, columns, stride, box_rows, steps, /*halves=*/false);
}

TensorMapSpec low_latency_halves_map(const uint8_t* data, int rows, int columns, int64_t stride,
                                     int box_rows, int steps) {
  return codes_map(data, rows, columns, stride, box_rows, steps, /*halves=*/true);
}

}  // namespace octavo::cuda

// How the linear on integer codes for few tokens cuts its work.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/integer_low_latency.h"

#include <fmt/format.h>

#include <algorithm>

namespace octavo::cuda {
namespace {

constexpr int kProductRows = 16;

constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int value, int multiple) { return ceil_divide(value, multiple) * multiple; }

int ring_bytes(const IntegerShape& shape, const IntegerConfig& config) {
  const int stored = config.rows / rows_of_stored(shape);
  return config.depth * config.steps * (stored + 2 * integer_tokens(shape.m)) * kIntegerStep;
}

int rest_bytes(const IntegerShape& shape, const IntegerConfig& config) {
  return integer_rest_bytes(integer_tokens(shape.m), integer_row_blocks(config.rows));
}

// A problem cut for `ctas` CTAs, `split` of them to a tile, with a ring that makes the most of
// `shared_bytes`.
IntegerConfig cut_integer(const IntegerShape& shape, int ctas, int split, int shared_bytes) {
  IntegerConfig config;
  config.split = split;
  const int each = ceil_divide(shape.n, std::max(1, ctas / split));
  const int most = integer_most_rows(shape);
  config.passes = split > 1 ? 1 : ceil_divide(each, most);
  config.rows = std::min(round_up(ceil_divide(each, config.passes), kProductRows), most);
  const int room = shared_bytes - rest_bytes(shape, config);
  const int share = ceil_divide(ceil_divide(shape.k, kIntegerStep), split);
  config.depth = 1;
  config.steps = 4;
  while (config.steps > 1 && (share < config.steps || room / ring_bytes(shape, config) < 3))
    config.steps /= 2;
  const int stages = config.passes * ceil_divide(share, config.steps);
  config.depth = std::min({room / ring_bytes(shape, config), stages, kIntegerMaxDepth});
  return config;
}

}  // namespace

std::string to_string(const IntegerConfig& c) {
  return fmt::format("rows {} steps {} depth {} split {} passes {}", c.rows, c.steps, c.depth,
                     c.split, c.passes);
}

int integer_shared_bytes(const IntegerShape& shape, const IntegerConfig& config) {
  return ring_bytes(shape, config) + rest_bytes(shape, config);
}

std::vector<IntegerConfig> integer_candidates(const IntegerShape& shape, int multiprocessors) {
  // Alone on a multiprocessor, or beside another CTA of this kernel or of the next.
  constexpr int kHalf = kIntegerSharedBytes / 2 - 1024;
  std::vector<IntegerConfig> candidates = {integer_config(shape, multiprocessors)};
  for (const int split : {1, 2, 4}) {
    candidates.push_back(cut_integer(shape, multiprocessors, split, kIntegerSharedBytes));
    candidates.push_back(cut_integer(shape, multiprocessors, split, kHalf));
    candidates.push_back(cut_integer(shape, 2 * multiprocessors, split, kHalf));
  }
  std::erase_if(candidates, [](const IntegerConfig& config) { return config.depth < 1; });
  return candidates;
}

// Every CTA reads all tokens of its K: 2 bytes of each beside ½ or 1 of every weight row. So tiles
// of few rows are made taller by sharing K, which halves what all CTAs together read of x.
IntegerConfig integer_config(const IntegerShape& shape, int multiprocessors) {
  constexpr int kFewRows = 64;
  constexpr int kLeastShare = 1024;  // of K
  int split = 1;
  while (split < kIntegerMaxSplit && ceil_divide(shape.n, multiprocessors / split) <= kFewRows &&
         shape.k / split >= 2 * kLeastShare)
    split *= 2;
  return cut_integer(shape, multiprocessors, split, kIntegerSharedBytes);
}

}  // namespace octavo::cuda

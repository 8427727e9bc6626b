// Questions about rows to sample.
// SPDX-License-Identifier: Apache-2.0
#include "ops/sampling.h"

#include <algorithm>

namespace octavo {

bool only_greedy(std::span<const SamplingRow> rows) {
  return std::ranges::all_of(rows, [](const SamplingRow& row) {
    return row.slot < 0 || (row.greedy && !row.has_penalties && !row.ban_ends && !row.logprobs);
  });
}

}  // namespace octavo

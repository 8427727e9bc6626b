// Which sampling kernel suffices, and what the sampler refuses.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/sampling/sampling.h"

#include <algorithm>

#include "core/error.h"

namespace octavo::cuda {

bool only_greedy(std::span<const SamplingRow> rows) {
  return std::ranges::all_of(rows, [](const SamplingRow& row) {
    return row.slot < 0 || (row.greedy && !row.has_penalties && !row.ban_ends && !row.logprobs);
  });
}

void launch_sample(const SampleArgs& args, const Launch& where) {
  if (args.vocab_size > kMaxSampledVocab) {
    throw unsupported(
        "", "vocab_size",
        fmt::format("{} on a device that samples up to {}", args.vocab_size, kMaxSampledVocab));
  }
  launch_sample_rows(args, where);
}

}  // namespace octavo::cuda

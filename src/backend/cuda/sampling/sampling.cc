// Which sampling kernel suffices, and what the sampler refuses.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/sampling/sampling.h"

#include "core/error.h"

namespace octavo::cuda {

void launch_sample(const SampleArgs& args, const Launch& where) {
  if (args.vocab_size > kMaxSampledVocab) {
    throw unsupported(
        "", "vocab_size",
        fmt::format("{} on a device that samples up to {}", args.vocab_size, kMaxSampledVocab));
  }
  launch_sample_rows(args, where);
}

}  // namespace octavo::cuda

// Sampling of steps on the host.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_step_sampler.h"

namespace octavo {

HostStepSampler::HostStepSampler(Device& device, int32_t num_slots, int32_t vocab_size)
    : rows_(device), sampler_(num_slots, vocab_size), last_token_(static_cast<size_t>(num_slots)) {}

std::optional<int32_t> HostStepSampler::last_token(int32_t slot) const {
  return last_token_[static_cast<size_t>(slot)];
}

void HostStepSampler::launch(const Step& step, const TensorView& logits) {
  const float* rows = rows_.bring(logits);
  const auto columns = static_cast<size_t>(logits.columns());
  StepResult result{.id = step.id};
  for (const StepSequence& sequence : step.sequences) {
    sampler_.begin(sequence);
    if (!sequence.sample) continue;
    const std::span<const float> row(rows + result.tokens.size() * columns, columns);
    result.tokens.push_back(sampler_.sample(sequence, row, scratch_));
    last_token_[static_cast<size_t>(sequence.slot)] = result.tokens.back().token;
  }
  results_.push_back(std::move(result));
}

StepResult HostStepSampler::wait() {
  OCTAVO_CHECK(!results_.empty());
  StepResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

}  // namespace octavo

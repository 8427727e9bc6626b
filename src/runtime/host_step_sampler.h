// HostStepSampler: brings the logits of a step to the host and samples there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <vector>

#include "runtime/host_rows.h"
#include "runtime/sampler.h"
#include "runtime/step_sampler.h"

namespace octavo {

// Every step is complete when launch() returns.
class HostStepSampler final : public StepSampler {
 public:
  HostStepSampler(Device& device, int32_t num_slots, int32_t vocab_size);

  std::optional<int32_t> last_token(int32_t slot) const override;
  void follow(Device&, int64_t) override {}  // the host knows what the next step reads
  void resolve(const StepBuffers&, int64_t, Device&) override {}
  void launch(const Step& step, const TensorView& logits) override;
  StepResult wait() override;

 private:
  HostRows rows_;
  Sampler sampler_;
  SamplerScratch scratch_;
  std::vector<int32_t> last_token_;  // by slot
  std::deque<StepResult> results_;
};

}  // namespace octavo

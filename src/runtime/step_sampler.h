// StepSampler: draws the tokens of a step where its logits are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "program/step_buffers.h"
#include "runtime/step.h"

namespace octavo {

class StepSampler {
 public:
  virtual ~StepSampler() = default;

  // The token that a slot sampled last, where the host knows it already.
  virtual std::optional<int32_t> last_token(int32_t slot) const = 0;
  // What `device`, of any rank, is asked for later sees the samples of the launched steps up to
  // this one. Never part of a graph.
  virtual void follow(Device& device, int64_t step_id) = 0;
  // Puts each slot's last sample in place of the first `tokens` ids that ask for one, on the
  // device that the buffers are of. Part of captured graphs.
  virtual void resolve(const StepBuffers& buffers, int64_t tokens, Device& device) = 0;
  // `logits` has a row for each sequence with `sample`, in order. May return before it ran.
  virtual void launch(const Step& step, const TensorView& logits) = 0;
  // The result of the oldest launched step.
  virtual StepResult wait() = 0;
};

}  // namespace octavo

// What one step of the model computes: the seam between scheduler and runner, of no device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/sampling_params.h"

namespace octavo {

struct StepSequence {
  int32_t slot = 0;  // [0, max_batch_size): where the device keeps this sequence's state
  int32_t first_position = 0;
  int32_t num_tokens = 0;
  std::vector<int32_t> tokens;               // empty: the one token that this slot sampled last
  std::vector<int32_t> blocks;               // block table; covers first_position + num_tokens
  bool sample = false;                       // draw a token after the last position
  const SamplingParams* sampling = nullptr;  // valid until this step's result was committed
  int64_t output_index = 0;  // tokens generated before: the RNG is keyed by (seed, output_index)
  // Prompt and output so far, where the slot is (re)assigned and penalties are on; the last
  // `output_index` of them are output.
  std::vector<int32_t> history;
};

struct Step {
  int64_t id = 0;
  std::vector<StepSequence> sequences;
  int64_t num_tokens = 0;
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0;  // filled where the request asks for logprobs
  std::vector<std::pair<int32_t, float>> top_logprobs;  // descending
  bool numerical_error = false;                         // NaN, +Inf or nothing but -Inf
};

struct StepResult {
  int64_t id = 0;
  std::vector<SampledToken> tokens;  // one per sequence with `sample`, in order
};

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;

  // May return before the step ran. Steps run in the order of their launch.
  virtual void launch(const Step& step) = 0;
  // The result of the oldest launched step.
  virtual StepResult wait() = 0;
};

}  // namespace octavo

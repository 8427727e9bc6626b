// Draws tokens on the host from rows of float logits: the CPU path and the GPU sampler's oracle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/step.h"

namespace octavo {

// What the penalties count, of one slot.
struct TokenCount {
  int32_t in_output = 0;
  bool in_prompt = false;
};
using TokenCounts = std::unordered_map<int32_t, TokenCount>;

// Working memory of one thread; reused, so that a row allocates nothing after the first.
struct SamplerScratch {
  std::vector<float> logits;
  std::vector<float> weights;
  std::vector<float> kept;
  std::vector<int32_t> order;
};

// One draw: a pure function of its arguments. The order of the steps: penalties, end ids banned
// before min_tokens, temperature, top_k, top_p of what is left, min_p of the likeliest, draw in
// token order. Ties go to the lower id. Log-probabilities are those of the unmodified logits.
SampledToken sample_row(std::span<const float> logits, const SamplingParams& params,
                        const TokenCounts* counts, int64_t output_index, SamplerScratch& scratch);

// Keeps the counts of each slot. Different slots may be sampled at the same time.
class Sampler {
 public:
  Sampler(int32_t num_slots, int32_t vocab_size);

  // Call for every sequence of a step, sampled or not, before its sample.
  void begin(const StepSequence& sequence);
  // `logits` is the row of the sequence's last token.
  SampledToken sample(const StepSequence& sequence, std::span<const float> logits,
                      SamplerScratch& scratch);

 private:
  TokenCounts& counts(int32_t slot);

  int32_t vocab_size_;
  std::vector<TokenCounts> counts_;
};

}  // namespace octavo

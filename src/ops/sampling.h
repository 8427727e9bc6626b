// Sampling of a step's rows by a device: what runtime/sampler.h computes, a step ahead of the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace octavo {

inline constexpr int kMaxTopLogprobs = 20;

// How one row of logits is sampled.
struct SamplingRow {
  int32_t slot = -1;  // negative: padding, for which nothing is read or written
  bool greedy = true;
  bool has_penalties = false;
  bool ban_ends = false;  // below min_tokens
  bool logprobs = false;  // of the drawn token and of the likeliest num_top
  int32_t num_top = 0;    // at most kMaxTopLogprobs
  int32_t top_k = 0;      // 0: all
  float temperature = 1;  // above 0 unless greedy
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  int32_t first_end = 0;  // of the end ids
  int32_t num_ends = 0;
  uint64_t seed = 0;
  int64_t output_index = 0;
};

struct SampledRow {
  int32_t token;
  int32_t numerical_error;  // 1: NaN, +Inf or nothing but -Inf; the token is 0 then
  float logprob;            // where asked for
  int32_t num_top;
};

struct TopLogprob {
  int32_t token;
  float logprob;
};

// Counts a slot's tokens for the penalties: [slots, vocab_size], the number in the output, and this
// bit for those in the prompt.
inline constexpr uint32_t kInPrompt = 0x80000000u;

// Device memory. Rows name different slots.
struct SampleArgs {
  const SamplingRow* rows;  // [num_rows]
  const float* logits;      // [num_rows, vocab_size]
  const int32_t* end_ids;   // of all rows
  uint32_t* counts;         // may be null where no row has penalties; drawn tokens are added
  int32_t* last_token;      // [slots]: the drawn token, for the next step's input
  SampledRow* sampled;      // [num_rows]
  TopLogprob* top;          // [num_rows, kMaxTopLogprobs], descending; null where no row asks
  int64_t logits_stride;    // elements
  int32_t vocab_size;
  int32_t num_rows;
};

// Whether these rows (of the host) are greedy and nothing else.
bool only_greedy(std::span<const SamplingRow> rows);

// Prompt and output so far of a slot that starts anew, where it has penalties.
struct SlotHistory {
  int32_t slot;
  int32_t first;  // in the list of tokens
  int32_t num_prompt;
  int32_t num_output;
};

struct SlotHistories {
  const SlotHistory* slots;  // [num_slots], device memory as all
  const int32_t* tokens;     // those outside the vocabulary are left out
  uint32_t* counts;
  int32_t vocab_size;
  int32_t num_slots;
};

// token_ids[i] = last_token[from_slot[i]] where from_slot[i] >= 0, host_ids[i] elsewhere.
struct StepTokens {
  const int32_t* host_ids;
  const int32_t* from_slot;
  const int32_t* last_token;
  int32_t* token_ids;
  int64_t count;
};

}  // namespace octavo

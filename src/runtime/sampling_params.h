// How one request's tokens are drawn and where it ends: TensorRT-LLM's names and defaults.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace octavo {

struct SamplingParams {
  int64_t max_tokens = 32;
  int64_t min_tokens = 0;  // end and stop ids cannot be drawn before

  // All of these unset: greedy.
  std::optional<float> temperature;  // 0: greedy
  std::optional<float> top_p;
  std::optional<int32_t> top_k;  // 0: all
  std::optional<float> min_p;    // of the most probable token's probability
  std::optional<uint64_t> seed;

  std::optional<float> repetition_penalty;  // over prompt and output
  std::optional<float> presence_penalty;    // over the output
  std::optional<float> frequency_penalty;   // over the output

  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;

  std::optional<int32_t> logprobs;         // 0: of the drawn token alone; n: of the n likeliest too
  std::optional<int32_t> prompt_logprobs;  // refused: evaluation computes them

  bool skip_special_tokens = true;
  bool add_special_tokens = true;
};

inline constexpr int32_t kMaxLogprobs = 20;
inline constexpr size_t kMaxStopStrings = 4;
inline constexpr size_t kMaxStopBytes = 4096;
inline constexpr size_t kMaxStopTokenIds = 1024;
// Below this a temperature is greedy: no probability but the largest would survive it.
inline constexpr float kMinTemperature = 1e-5f;

// Throws Error(kUsage), or kUnsupported, that names the field.
void validate(const SamplingParams& params, int64_t vocab_size);

bool is_greedy(const SamplingParams& params);
bool has_penalties(const SamplingParams& params);

}  // namespace octavo

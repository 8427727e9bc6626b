// Checks sampling parameters before a request reaches the scheduler.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampling_params.h"

#include <cmath>
#include <string_view>

#include "core/error.h"

namespace octavo {
namespace {

template <typename T>
[[noreturn]] void refuse(std::string_view field, std::string_view expected, const T& got) {
  throw Error(ErrorCategory::kUsage, "", field, fmt::format("expected {}, got {}", expected, got));
}

// `!(inside)` instead of `outside`, so that NaN is refused too.
void check_range(std::string_view field, const std::optional<float>& value, float low, float high) {
  if (value && !(*value >= low && *value <= high)) {
    refuse(field, fmt::format("{} to {}", low, high), *value);
  }
}

void check_stops(const SamplingParams& params, int64_t vocab_size) {
  if (params.stop.size() > kMaxStopStrings) {
    refuse("stop", fmt::format("at most {} strings", kMaxStopStrings), params.stop.size());
  }
  for (const std::string& stop : params.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      refuse("stop", fmt::format("strings of 1 to {} bytes", kMaxStopBytes),
             fmt::format("{} bytes", stop.size()));
    }
  }
  if (params.stop_token_ids.size() > kMaxStopTokenIds) {
    refuse("stop_token_ids", fmt::format("at most {} ids", kMaxStopTokenIds),
           params.stop_token_ids.size());
  }
  for (const int32_t id : params.stop_token_ids) {
    if (id < 0 || id >= vocab_size) {
      refuse("stop_token_ids", fmt::format("ids from 0 to {}", vocab_size - 1), id);
    }
  }
}

}  // namespace

void validate(const SamplingParams& params, int64_t vocab_size) {
  if (params.max_tokens < 1) refuse("max_tokens", "at least 1", params.max_tokens);
  if (params.min_tokens < 0 || params.min_tokens > params.max_tokens) {
    refuse("min_tokens", fmt::format("0 to max_tokens {}", params.max_tokens), params.min_tokens);
  }
  check_range("temperature", params.temperature, 0, 2);
  if (params.top_p && !(*params.top_p > 0 && *params.top_p <= 1)) {
    refuse("top_p", "above 0, at most 1", *params.top_p);
  }
  if (params.top_k && (*params.top_k < 0 || *params.top_k > vocab_size)) {
    refuse("top_k", fmt::format("0 (all) to the vocabulary's {}", vocab_size), *params.top_k);
  }
  check_range("min_p", params.min_p, 0, 1);
  if (params.repetition_penalty &&
      !(*params.repetition_penalty > 0 && std::isfinite(*params.repetition_penalty))) {
    refuse("repetition_penalty", "above 0", *params.repetition_penalty);
  }
  check_range("presence_penalty", params.presence_penalty, -2, 2);
  check_range("frequency_penalty", params.frequency_penalty, -2, 2);
  if (params.logprobs && (*params.logprobs < 0 || *params.logprobs > kMaxLogprobs)) {
    refuse("logprobs", fmt::format("0 to {}", kMaxLogprobs), *params.logprobs);
  }
  if (params.prompt_logprobs) {
    throw unsupported("", "prompt_logprobs", "not available here; `octavo eval` computes them");
  }
  check_stops(params, vocab_size);
}

bool is_greedy(const SamplingParams& params) {
  if (params.temperature && *params.temperature < kMinTemperature) return true;
  if (params.top_k && *params.top_k == 1) return true;
  return !params.temperature && !params.top_p && !params.top_k && !params.min_p && !params.seed;
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty.value_or(1) != 1 || params.presence_penalty.value_or(0) != 0 ||
         params.frequency_penalty.value_or(0) != 0;
}

}  // namespace octavo

// What a caller asks of the engine, and what comes back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/sampling_params.h"
#include "runtime/sequence.h"
#include "runtime/step.h"

namespace octavo {

// One piece of a stream: a token with the text it completed, or the end with the text held back.
struct TokenUpdate {
  RequestId id = 0;
  std::optional<SampledToken> token;
  std::string text;
  std::optional<FinishReason> finished;
};

// "stop", "length", "abort", "error".
std::string_view to_string(FinishReason reason);

struct RequestOutput {
  RequestId id = 0;
  std::string prompt;
  std::vector<int32_t> prompt_token_ids;
  std::vector<int32_t> token_ids;      // the generated ones, an end id included
  std::string text;                    // empty without a tokenizer
  std::vector<SampledToken> logprobs;  // one per token, where asked for
  FinishReason finish_reason = FinishReason::kStop;
  std::string error;  // of kError
  // Seconds on the engine's clock.
  double submitted = 0;
  std::optional<double> first_token;
  double finished = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the KV cache
  int32_t preemptions = 0;
};

struct Request {
  std::string prompt;                     // used where there are no ids; needs a tokenizer
  std::vector<int32_t> prompt_token_ids;  // taken as they are
  SamplingParams sampling;
  uint64_t cache_salt = 0;  // requests of different salts never share KV blocks
  std::optional<double> timeout_seconds;
  // Called on the engine's thread, where they may submit and abort. One that throws fails its own
  // request. With `on_finish`, the output goes there and not to take_finished().
  std::function<void(const TokenUpdate&)> on_token;
  std::function<void(RequestOutput)> on_finish;
};

}  // namespace octavo

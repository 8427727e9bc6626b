// LLM: a model that generates text, from an engine directory or a checkpoint.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/config.h"
#include "octavo/progress.h"

namespace octavo {

// Where a model comes from, and how it is made ready where it is not an engine yet.
struct ModelOptions {
  std::filesystem::path engine_dir;  // either this …
  std::filesystem::path model_dir;  // … or this: a 16-bit or quantized checkpoint, built in memory
  std::string load_format = "auto";  // dummy: random weights, only config.json is read
  std::string qformat = "auto";      // with dummy weights: auto, fp8, full_prec
  BuildConfig build_config;          // of model_dir
  int threads = 0;                   // 0: all
};

struct RuntimeOptions {
  KvCacheConfig kv_cache_config;
  std::string scheduler_policy = "guaranteed_no_evict";  // or max_utilization
  int64_t max_batch_size = 0;                            // 0: the engine's; never more
  int64_t max_num_tokens = 0;                            // 0: the engine's; never more
  int depth = 1;                                         // steps scheduled ahead: 0, 1 or 2
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0f;
  std::vector<std::pair<int32_t, float>> top;  // likeliest first
};

struct Completion {
  std::string prompt;
  std::vector<int32_t> prompt_token_ids;
  std::string text;
  std::vector<int32_t> token_ids;      // generated, an end id included
  std::string finish_reason;           // stop, length, abort, error
  std::string error;                   // where finish_reason is error
  std::vector<TokenLogprob> logprobs;  // where asked for
};

class LLM {
 public:
  // Called with the index of the prompt and the text that a token completed.
  using StreamCallback = std::function<void(size_t prompt, std::string_view text)>;

  LLM(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress);
  ~LLM();
  LLM(LLM&&) noexcept;
  LLM& operator=(LLM&&) noexcept;

  // One completion a prompt, in order. Throws Error(kUsage) for a prompt or parameter that can
  // never run.
  std::vector<Completion> generate(const std::vector<std::string>& prompts,
                                   const SamplingParams& sampling,
                                   const StreamCallback& on_text = nullptr);
  // The same for token ids, which are taken as they are.
  std::vector<Completion> generate(const std::vector<std::vector<int32_t>>& prompts,
                                   const SamplingParams& sampling,
                                   const StreamCallback& on_text = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octavo

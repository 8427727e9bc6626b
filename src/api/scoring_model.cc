// Scoring of sequences.
// SPDX-License-Identifier: Apache-2.0
#include "api/scoring_model.h"

#include "api/registry.h"
#include "evaluate/perplexity.h"

namespace octavo {

ScoringModel::ScoringModel(LoadedModel loaded, int64_t context) : loaded_(std::move(loaded)) {
  const EngineConfig& config = loaded_.image->config;
  if (context == 0) context = config.max_seq_len;
  if (context > config.max_seq_len) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("--context {}: the model takes at most {} tokens", context,
                            config.max_seq_len));
  }
  RuntimeOptions runtime;
  runtime.kv_cache_config.max_tokens = context + config.tokens_per_block;
  runtime.max_batch_size = 1;
  runner_ = std::make_unique<Runner>(loaded_.ranks(), kernel_registry(),
                                     runner_options(loaded_, runtime));
}

std::vector<int32_t> scored_stream(const Tokenizer& tokenizer,
                                   const std::vector<int32_t>& eos_token_ids,
                                   const std::vector<std::string>& documents) {
  const int32_t end = eos_token_ids.empty() ? -1 : eos_token_ids.front();
  return token_stream(tokenizer, documents, tokenizer.eos_id().value_or(end));
}

}  // namespace octavo

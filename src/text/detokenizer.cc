// Runs tokens through the steps of the decoder.
// SPDX-License-Identifier: Apache-2.0
#include "text/detokenizer.h"

#include <utility>

#include "text/growth.h"

namespace octavo {

Detokenizer::Detokenizer(Tokenizer tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)),
      skip_special_tokens_(skip_special_tokens),
      steps_(tokenizer_.decoder().start()) {}

// Hands `token` to the steps from `step` on, and what comes out of the last one to `out`.
void Detokenizer::pass(std::string_view token, size_t step, std::string& out) {
  if (step == steps_.size()) {
    out += token;
    return;
  }
  std::vector<std::string> results;
  steps_[step]->push(token, results);
  for (const std::string& result : results) pass(result, step + 1, out);
}

std::string Detokenizer::push(int32_t id) {
  std::string out;
  if (const auto token = tokenizer_.decoded_token(id, skip_special_tokens_)) pass(*token, 0, out);
  return out;
}

std::string Detokenizer::finish() {
  std::string out;
  for (size_t step = 0; step < steps_.size(); ++step) {
    std::vector<std::string> results;
    steps_[step]->finish(results);
    for (const std::string& result : results) pass(result, step + 1, out);
  }
  steps_ = tokenizer_.decoder().start();
  return out;
}

}  // namespace octavo

// Perplexity over consecutive windows of a token stream.
// SPDX-License-Identifier: Apache-2.0
//
// Protocol: each document is tokenized with its BOS and followed by EOS, and the documents are
// joined into one stream. Windows of context + 1 tokens start every `context` tokens, so that every
// token but the first is predicted exactly once; an incomplete last window is dropped; max_tokens
// cuts the stream first.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "runtime/runner.h"
#include "text/tokenizer.h"

namespace octavo {

// The token stream of documents. `eos` is appended after each; -1: none.
std::vector<int32_t> token_stream(const Tokenizer& tokenizer,
                                  const std::vector<std::string>& documents, int32_t eos);

struct PerplexityOptions {
  int64_t context = 1024;
  int64_t max_tokens = 0;                          // of the stream; 0: all
  std::function<void(int64_t, int64_t)> progress;  // (windows done, windows in all)
};

struct Perplexity {
  double mean_nll = 0.0;  // nats a token
  int64_t tokens = 0;     // predicted
  int64_t windows = 0;
  std::vector<double> window_nll;  // sums, for intervals

  double value() const;  // exp(mean_nll)
};

// Of category kBadFile, naming the window.
class NonFiniteLogits : public Error {
 public:
  explicit NonFiniteLogits(int64_t window)
      : Error(ErrorCategory::kBadFile,
              fmt::format("window {}: the logits are not finite", window)) {}
};

// Throws Error(kBadFile) where the stream is shorter than one window, NonFiniteLogits where the
// model is broken.
Perplexity measure_perplexity(Runner& runner, std::span<const int32_t> stream,
                              const PerplexityOptions& options);

// The windows of a stream, each context + 1 long.
std::vector<std::span<const int32_t>> windows_of(std::span<const int32_t> stream, int64_t context,
                                                 int64_t max_tokens);

// log(sum(exp(logits))), in double.
double log_sum_exp(std::span<const float> logits);

}  // namespace octavo

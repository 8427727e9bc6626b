// Perplexity.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>

namespace octavo {

std::vector<int32_t> token_stream(const Tokenizer& tokenizer,
                                  const std::vector<std::string>& documents, int32_t eos) {
  std::vector<int32_t> stream;
  for (const std::string& document : documents) {
    const std::vector<int32_t> ids = tokenizer.encode(document, /*add_special_tokens=*/true);
    stream.insert(stream.end(), ids.begin(), ids.end());
    if (eos >= 0) stream.push_back(eos);
  }
  return stream;
}

double Perplexity::value() const { return std::exp(mean_nll); }

std::vector<std::span<const int32_t>> windows_of(std::span<const int32_t> stream, int64_t context,
                                                 int64_t max_tokens) {
  if (max_tokens > 0 && max_tokens < std::ssize(stream))
    stream = stream.first(static_cast<size_t>(max_tokens));
  std::vector<std::span<const int32_t>> windows;
  for (int64_t begin = 0; begin + context < std::ssize(stream); begin += context) {
    windows.push_back(stream.subspan(static_cast<size_t>(begin), static_cast<size_t>(context + 1)));
  }
  if (windows.empty()) {
    throw Error(ErrorCategory::kBadFile,
                fmt::format("the text has {} tokens, fewer than one window of {}", stream.size(),
                            context + 1));
  }
  return windows;
}

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - largest));
  return static_cast<double>(largest) + std::log(sum);
}

Perplexity measure_perplexity(Runner& runner, std::span<const int32_t> stream,
                              const PerplexityOptions& options) {
  const auto windows = windows_of(stream, options.context, options.max_tokens);
  Perplexity result;
  double total = 0.0;
  for (const std::span<const int32_t> window : windows) {
    double nll = 0.0;
    runner.visit_logits(
        window.first(window.size() - 1), [&](int64_t position, std::span<const float> logits) {
          const int32_t next = window[static_cast<size_t>(position + 1)];
          nll += log_sum_exp(logits) - static_cast<double>(logits[static_cast<size_t>(next)]);
        });
    if (!std::isfinite(nll)) throw NonFiniteLogits(result.windows);
    total += nll;
    result.window_nll.push_back(nll);
    result.tokens += std::ssize(window) - 1;
    ++result.windows;
    if (options.progress) options.progress(result.windows, std::ssize(windows));
  }
  result.mean_nll = total / static_cast<double>(result.tokens);
  return result;
}

}  // namespace octavo

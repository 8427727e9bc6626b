// Comparison of two models on the same windows: perplexity, KL, agreement, paired intervals.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "evaluate/perplexity.h"
#include "octavo/evaluate.h"

namespace octavo {

// Sums over the positions of one window.
struct WindowComparison {
  double reference_nll = 0.0;
  double engine_nll = 0.0;
  double kl = 0.0;  // KL(reference ‖ engine), nats
  int64_t agreements = 0;
  int64_t tokens = 0;
};

std::vector<WindowComparison> compare_models(Runner& reference, Runner& engine,
                                             std::span<const int32_t> stream,
                                             const PerplexityOptions& options);

// Means, 95 % intervals by bootstrap over runs of windows (seeded, the same for the same input),
// and the verdict.
CompareReport summarize(const std::vector<WindowComparison>& windows, const CompareBudget& budget);

// 95 %, bootstrap over runs of windows.
Interval perplexity_interval(const Perplexity& perplexity);

// KL(p ‖ q) of the softmaxes of two rows of logits.
double kl_divergence(std::span<const float> p, std::span<const float> q);

}  // namespace octavo

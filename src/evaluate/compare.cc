// Paired comparison of two models.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/compare.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace octavo {
namespace {

constexpr int kResamples = 1000;

// splitmix64: the same resamples on every platform.
class Resampler {
 public:
  size_t below(size_t n) {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return static_cast<size_t>(((x ^ (x >> 31)) >> 32) * n >> 32);
  }

 private:
  uint64_t state_ = 20240601;
};

// 95 % of `statistic` over resamples of the indices [0, n) in runs of neighbours: windows of one
// document are alike, so that a bootstrap of single windows would be too sure. Runs of n^(1/3)
// are the usual order for dependent series (Kunsch 1989; circular: Politis and Romano 1992).
Interval bootstrap(size_t n, const std::function<double(const std::vector<size_t>&)>& statistic) {
  Resampler resampler;
  std::vector<double> values;
  std::vector<size_t> sample(n);
  const auto run = static_cast<size_t>(std::lround(std::cbrt(static_cast<double>(n))));
  for (int i = 0; i < kResamples; ++i) {
    for (size_t k = 0; k < n; ++k)
      sample[k] = k % run == 0 ? resampler.below(n) : (sample[k - 1] + 1) % n;
    values.push_back(statistic(sample));
  }
  std::sort(values.begin(), values.end());
  return {values[kResamples * 25 / 1000], values[kResamples * 975 / 1000 - 1]};
}

struct Totals {
  double reference_nll = 0.0, engine_nll = 0.0, kl = 0.0, agreements = 0.0, tokens = 0.0;

  void add(const WindowComparison& window) {
    reference_nll += window.reference_nll;
    engine_nll += window.engine_nll;
    kl += window.kl;
    agreements += static_cast<double>(window.agreements);
    tokens += static_cast<double>(window.tokens);
  }
  double ppl_increase() const { return std::expm1((engine_nll - reference_nll) / tokens); }
};

size_t argmax(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

}  // namespace

double kl_divergence(std::span<const float> p, std::span<const float> q) {
  const double p_norm = log_sum_exp(p), q_norm = log_sum_exp(q);
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_p = static_cast<double>(p[i]) - p_norm;
    sum += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_norm));
  }
  return std::max(sum, 0.0);
}

std::vector<WindowComparison> compare_models(Runner& reference, Runner& engine,
                                             std::span<const int32_t> stream,
                                             const PerplexityOptions& options) {
  std::vector<WindowComparison> results;
  const auto windows = windows_of(stream, options.context, options.max_tokens);
  for (const std::span<const int32_t> window : windows) {
    const auto inputs = window.first(window.size() - 1);
    std::vector<std::vector<float>> rows;
    reference.visit_logits(inputs, [&](int64_t, std::span<const float> logits) {
      rows.emplace_back(logits.begin(), logits.end());
    });
    WindowComparison result;
    engine.visit_logits(inputs, [&](int64_t position, std::span<const float> logits) {
      const std::vector<float>& expected = rows[static_cast<size_t>(position)];
      const auto next = static_cast<size_t>(window[static_cast<size_t>(position + 1)]);
      result.reference_nll += log_sum_exp(expected) - static_cast<double>(expected[next]);
      result.engine_nll += log_sum_exp(logits) - static_cast<double>(logits[next]);
      result.kl += kl_divergence(expected, logits);
      result.agreements += argmax(expected) == argmax(logits) ? 1 : 0;
      ++result.tokens;
    });
    if (!std::isfinite(result.reference_nll + result.engine_nll + result.kl))
      throw NonFiniteLogits(std::ssize(results));
    results.push_back(result);
    if (options.progress) options.progress(std::ssize(results), std::ssize(windows));
  }
  return results;
}

CompareReport summarize(const std::vector<WindowComparison>& windows, const CompareBudget& budget) {
  Totals all;
  for (const WindowComparison& window : windows) all.add(window);
  const auto interval = [&](const std::function<double(const Totals&)>& statistic) {
    return bootstrap(windows.size(), [&](const std::vector<size_t>& sample) {
      Totals totals;
      for (const size_t index : sample) totals.add(windows[index]);
      return statistic(totals);
    });
  };
  CompareReport report{
      .reference_perplexity = std::exp(all.reference_nll / all.tokens),
      .engine_perplexity = std::exp(all.engine_nll / all.tokens),
      .ppl_increase = all.ppl_increase(),
      .ppl_increase_interval = interval([](const Totals& t) { return t.ppl_increase(); }),
      .mean_kl = all.kl / all.tokens,
      .mean_kl_interval = interval([](const Totals& t) { return t.kl / t.tokens; }),
      .top1_agreement = all.agreements / all.tokens,
      .top1_agreement_interval = interval([](const Totals& t) { return t.agreements / t.tokens; }),
      .tokens = static_cast<int64_t>(all.tokens),
      .windows = std::ssize(windows)};
  if (budget.max_ppl_increase && report.ppl_increase > *budget.max_ppl_increase) {
    report.failures.push_back(
        fmt::format("perplexity increase {:.3f} % exceeds --max_ppl_increase {:.3f} %",
                    100 * report.ppl_increase, 100 * *budget.max_ppl_increase));
  }
  if (budget.max_kl && report.mean_kl > *budget.max_kl) {
    report.failures.push_back(
        fmt::format("mean KL {:.6f} exceeds --max_kl {:.6f}", report.mean_kl, *budget.max_kl));
  }
  return report;
}

Interval perplexity_interval(const Perplexity& perplexity) {
  const double tokens_a_window =
      static_cast<double>(perplexity.tokens) / static_cast<double>(perplexity.windows);
  return bootstrap(perplexity.window_nll.size(), [&](const std::vector<size_t>& sample) {
    double nll = 0.0;
    for (const size_t index : sample) nll += perplexity.window_nll[index];
    return std::exp(nll / (tokens_a_window * static_cast<double>(sample.size())));
  });
}

}  // namespace octavo

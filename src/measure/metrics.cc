// Summaries of request timings.
// SPDX-License-Identifier: Apache-2.0
#include "measure/metrics.h"

#include <algorithm>
#include <numeric>

namespace octavo {
namespace {

std::optional<Distribution> in_ms(std::optional<Distribution> seconds) {
  if (!seconds) return std::nullopt;
  for (double* value : {&seconds->average, &seconds->p50, &seconds->p90, &seconds->p95,
                        &seconds->p99, &seconds->min, &seconds->max}) {
    *value *= 1e3;
  }
  return seconds;
}

double per_second(int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

}  // namespace

std::optional<double> RequestTiming::itl_s() const {
  if (output_tokens < 2) return std::nullopt;
  return (end_s - first_token_s) / static_cast<double>(output_tokens - 1);
}

std::optional<Distribution> distribution(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const auto percentile = [&](size_t p) { return values[values.size() * p / 100]; };
  return Distribution{.average = std::accumulate(values.begin(), values.end(), 0.0) / values.size(),
                      .p50 = percentile(50),
                      .p90 = percentile(90),
                      .p95 = percentile(95),
                      .p99 = percentile(99),
                      .min = values.front(),
                      .max = values.back()};
}

PerformanceSamples collect_samples(std::span<const RequestTiming> timings, double total_s) {
  PerformanceSamples samples{.requests = static_cast<int64_t>(timings.size()), .total_s = total_s};
  for (const RequestTiming& timing : timings) {
    samples.output_tokens += timing.output_tokens;
    samples.ttft_s.push_back(timing.ttft_s());
    samples.e2e_s.push_back(timing.e2e_s());
    if (const auto itl_s = timing.itl_s()) samples.itl_s.push_back(*itl_s);
  }
  return samples;
}

Performance summarize(const PerformanceSamples& samples) {
  return {.output_tokens = samples.output_tokens,
          .requests = samples.requests,
          .total_s = samples.total_s,
          .token_throughput = per_second(samples.output_tokens, samples.total_s),
          .request_throughput = per_second(samples.requests, samples.total_s),
          .ttft_ms = in_ms(distribution(samples.ttft_s)),
          .itl_ms = in_ms(distribution(samples.itl_s)),
          .e2e_ms = in_ms(distribution(samples.e2e_s))};
}

std::optional<Roofline> roofline(const RooflineInput& input,
                                 std::optional<double> measured_itl_ms) {
  if (!(input.bandwidth_bytes_per_s > 0)) return std::nullopt;
  const double bytes =
      input.weight_bytes_per_step + input.kv_bytes_per_token * input.context_tokens;
  Roofline result{.input = input, .itl_floor_ms = bytes / input.bandwidth_bytes_per_s * 1e3};
  if (measured_itl_ms && *measured_itl_ms > 0) {
    result.itl_share = result.itl_floor_ms / *measured_itl_ms;
  }
  return result;
}

}  // namespace octavo

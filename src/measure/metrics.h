// What a run of requests amounts to: throughput, latencies with percentiles, share of the roofline.
// SPDX-License-Identifier: Apache-2.0
//
// TTFT = first token − submission. ITL = (end − first token) / (output tokens − 1), one value a
// request; a request of one token has none. E2E = end − submission. Throughput counts output tokens
// alone. Percentile p is the element ⌊n · p / 100⌋ of the n sorted values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace octavo {

// One finished request; seconds on one clock.
struct RequestTiming {
  int64_t task_id = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  double submitted_s = 0;
  double first_token_s = 0;
  double end_s = 0;

  double ttft_s() const { return first_token_s - submitted_s; }
  double e2e_s() const { return end_s - submitted_s; }
  std::optional<double> itl_s() const;
};

struct Distribution {
  double average = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, min = 0, max = 0;
};

// Nothing for no values.
std::optional<Distribution> distribution(std::vector<double> values);

// What was counted, before it is summarised.
struct PerformanceSamples {
  int64_t output_tokens = 0;
  int64_t requests = 0;  // finished
  double total_s = 0;
  std::vector<double> ttft_s, itl_s, e2e_s;
};

PerformanceSamples collect_samples(std::span<const RequestTiming> timings, double total_s);

struct Performance {
  int64_t output_tokens = 0;
  int64_t requests = 0;
  double total_s = 0;
  double token_throughput = 0;    // tokens/s
  double request_throughput = 0;  // requests/s
  std::optional<Distribution> ttft_ms, itl_ms, e2e_ms;
};

Performance summarize(const PerformanceSamples& samples);

// What one decode step of one sequence has to read, a device, and how fast that could be.
struct RooflineInput {
  double weight_bytes_per_step = 0;
  double kv_bytes_per_token = 0;  // of all layers
  double context_tokens = 0;      // average while decoding
  double bandwidth_bytes_per_s = 0;
};

struct Roofline {
  RooflineInput input;
  double itl_floor_ms = 0;
  std::optional<double> itl_share;  // floor / measured average; only batch 1 compares
};

// Nothing when the bandwidth is not known.
std::optional<Roofline> roofline(const RooflineInput& input, std::optional<double> measured_itl_ms);

}  // namespace octavo

// Load generation: submits requests to an engine in a stated pattern and times every token.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: one thread, an injected clock, and the same code whatever is driven.
// Non-goals: HTTP; making requests (dataset.h); summarising (metrics.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "measure/dataset.h"
#include "measure/metrics.h"

namespace octavo {

// Seconds since any fixed moment.
class LoadClock {
 public:
  virtual ~LoadClock() = default;
  virtual double now_s() = 0;
  virtual void sleep_until(double moment_s) = 0;
};

// The machine's monotonic clock.
LoadClock& steady_load_clock();

struct TokenEvent {
  int64_t request = 0;  // as given to submit
  int64_t tokens = 0;   // new output tokens
  bool finished = false;
};

// What is measured: an engine with continuous batching that ignores EOS.
class LoadTarget {
 public:
  virtual ~LoadTarget() = default;
  virtual void submit(int64_t request, std::span<const int32_t> input_ids,
                      int64_t output_tokens) = 0;
  // Runs one step and appends what it produced; false when there was nothing to run.
  virtual bool step(std::vector<TokenEvent>& events) = 0;
  virtual void abort(int64_t request) = 0;
};

enum class LoadProtocol {
  kFull,    // every request from start to end
  kSteady,  // a full batch of mixed ages, counted within a window
  kLatency  // one request at a time
};
std::string_view to_string(LoadProtocol protocol);

struct LoadOptions {
  LoadProtocol protocol = LoadProtocol::kFull;
  int64_t concurrency =
      0;  // requests in flight; 0: all at once. For steady, the batch to keep full
  double request_rate = 0;   // full only: mean arrivals a second (Poisson); 0: none wait
  double window_s = 45;      // steady
  int64_t itl_requests = 3;  // latency: so many run to their end, the others to their first token
  uint64_t seed = 0;
};

// Error(kUsage) for options that do not fit together.
void check_load_options(const LoadOptions& options);

struct LoadResult {
  std::vector<RequestTiming> requests;  // finished ones, in order of completion
  PerformanceSamples samples;
};

// Every request needs input_ids. The caller has warmed the target up.
LoadResult run_load(LoadTarget& target, LoadClock& clock, std::span<const BenchRequest> requests,
                    const LoadOptions& options, Progress& progress);

}  // namespace octavo

// The load patterns: full, steady and latency.
// SPDX-License-Identifier: Apache-2.0
#include "measure/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <thread>

#include "core/error.h"
#include "measure/random.h"

namespace octavo {
namespace {

class MonotonicClock : public LoadClock {
 public:
  double now_s() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void sleep_until(double moment_s) override {
    const double left_s = moment_s - now_s();
    if (left_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left_s));
  }
};

// A request that was submitted and has not finished.
struct Flight {
  RequestTiming timing;
  // Within the window only.
  int64_t window_tokens = 0;
  double window_first_s = 0;
};

// Submits, steps and times. Tokens count towards the window from open_window on.
class LoadRun {
 public:
  LoadRun(LoadTarget& target, LoadClock& clock) : target_(target), clock_(clock) {}

  double now_s() { return clock_.now_s(); }
  int64_t in_flight() const { return static_cast<int64_t>(flights_.size()); }
  int64_t started() const { return started_; }  // requests with a first token
  std::vector<RequestTiming>& finished() { return finished_; }

  void submit(const BenchRequest& request, std::span<const int32_t> input_ids,
              int64_t output_tokens, double submitted_s);
  void step();
  void run_until_idle() {
    while (in_flight() > 0) step();
  }
  void open_window(double start_s) { window_start_s_ = start_s; }
  PerformanceSamples close_window(double end_s);

 private:
  void receive(const TokenEvent& event, double now_s);
  void leave_window(const Flight& flight);

  LoadTarget& target_;
  LoadClock& clock_;
  std::map<int64_t, Flight> flights_;
  std::vector<RequestTiming> finished_;
  std::vector<TokenEvent> events_;
  int64_t submitted_ = 0;
  int64_t started_ = 0;
  double window_start_s_ = std::numeric_limits<double>::infinity();
  PerformanceSamples window_;
};

void LoadRun::submit(const BenchRequest& request, std::span<const int32_t> input_ids,
                     int64_t output_tokens, double submitted_s) {
  const int64_t id = submitted_;
  try {
    target_.submit(id, input_ids, output_tokens);
  } catch (const Error& error) {
    throw Error(error.category(), fmt::format("request {}: {}", request.task_id, error.what()));
  }
  ++submitted_;
  flights_[id].timing = {.task_id = request.task_id,
                         .input_tokens = static_cast<int64_t>(input_ids.size()),
                         .submitted_s = submitted_s};
}

void LoadRun::step() {
  events_.clear();
  const bool ran = target_.step(events_);
  const double now_s = clock_.now_s();
  for (const TokenEvent& event : events_) receive(event, now_s);
  if (!ran && events_.empty()) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("load: the engine is idle with {} requests unfinished", in_flight()));
  }
}

void LoadRun::receive(const TokenEvent& event, double now_s) {
  const auto found = flights_.find(event.request);
  OCTAVO_CHECK(found != flights_.end());
  Flight& flight = found->second;
  RequestTiming& timing = flight.timing;
  const bool in_window = now_s > window_start_s_;
  if (event.tokens > 0) {
    if (timing.output_tokens == 0) {
      timing.first_token_s = now_s;
      ++started_;
      if (timing.submitted_s >= window_start_s_) window_.ttft_s.push_back(timing.ttft_s());
    }
    timing.output_tokens += event.tokens;
    timing.end_s = now_s;
    if (in_window) {
      if (flight.window_tokens == 0) flight.window_first_s = now_s;
      flight.window_tokens += event.tokens;
      window_.output_tokens += event.tokens;
    }
  }
  if (!event.finished) return;
  if (timing.output_tokens == 0) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("load: request {} ended without a token", timing.task_id));
  }
  if (in_window) {
    ++window_.requests;
    if (timing.submitted_s >= window_start_s_) window_.e2e_s.push_back(timing.e2e_s());
    leave_window(flight);
  }
  finished_.push_back(timing);
  flights_.erase(found);
}

// The part of a request that lies in the window gives one inter-token latency.
void LoadRun::leave_window(const Flight& flight) {
  if (flight.window_tokens < 2) return;
  window_.itl_s.push_back((flight.timing.end_s - flight.window_first_s) /
                          static_cast<double>(flight.window_tokens - 1));
}

PerformanceSamples LoadRun::close_window(double end_s) {
  for (const auto& [id, flight] : flights_) {
    leave_window(flight);
    target_.abort(id);
  }
  flights_.clear();
  // Steps that were launched ahead end here and not in the next run.
  while (target_.step(events_)) {
  }
  window_.total_s = end_s - window_start_s_;
  return std::move(window_);
}

std::vector<double> arrivals(size_t count, double start_s, const LoadOptions& options) {
  std::vector<double> moments(count, start_s);
  if (options.request_rate <= 0) return moments;
  Random random(options.seed);
  double moment_s = start_s;
  for (double& arrival_s : moments) {
    arrival_s = moment_s;
    moment_s += random.exponential(1 / options.request_rate);
  }
  return moments;
}

double last_end_s(std::span<const RequestTiming> timings, double otherwise) {
  return timings.empty() ? otherwise : timings.back().end_s;
}

LoadResult run_full(LoadRun& run, LoadClock& clock, std::span<const BenchRequest> requests,
                    const LoadOptions& options, Progress& progress) {
  const int64_t limit =
      options.concurrency > 0 ? options.concurrency : std::numeric_limits<int64_t>::max();
  const double start_s = run.now_s();
  const std::vector<double> arrival_s = arrivals(requests.size(), start_s, options);
  size_t next = 0;
  while (next < requests.size() || run.in_flight() > 0) {
    while (next < requests.size() && run.in_flight() < limit) {
      const double now_s = run.now_s();
      if (arrival_s[next] > now_s) break;
      const BenchRequest& request = requests[next];
      // Under a rate the user submitted when the request arrived, even while a step was running.
      const double submitted_s = options.request_rate > 0 ? arrival_s[next] : now_s;
      run.submit(request, request.input_ids, request.output_tokens, submitted_s);
      ++next;
    }
    if (run.in_flight() == 0) {
      clock.sleep_until(arrival_s[next]);
      continue;
    }
    run.step();
    progress.update(static_cast<int64_t>(run.finished().size()),
                    static_cast<int64_t>(requests.size()), "requests");
  }
  const double total_s = last_end_s(run.finished(), start_s) - start_s;
  return {.requests = run.finished(), .samples = collect_samples(run.finished(), total_s)};
}

// A request as it stands when `remaining` of its output tokens are still to come: what it has
// generated is part of the context. The ids of its prompt stand for the generated ones.
void submit_aged(LoadRun& run, const BenchRequest& request, int64_t remaining) {
  std::vector<int32_t> ids = request.input_ids;
  const size_t prompt_tokens = ids.size();
  const size_t aged_tokens = prompt_tokens + static_cast<size_t>(request.output_tokens - remaining);
  ids.reserve(aged_tokens);
  while (ids.size() < aged_tokens) ids.push_back(ids[ids.size() - prompt_tokens]);
  run.submit(request, ids, remaining, run.now_s());
}

LoadResult run_steady(LoadRun& run, std::span<const BenchRequest> requests,
                      const LoadOptions& options, Progress& progress) {
  const int64_t batch = options.concurrency;
  const auto request_at = [&](int64_t i) -> const BenchRequest& {
    return requests[static_cast<size_t>(i) % requests.size()];
  };
  int64_t next = 0;
  for (; next < batch; ++next) {
    const BenchRequest& request = request_at(next);
    // 1/batch, 2/batch, … of the output, so that the batch holds every age equally.
    const double share = static_cast<double>(next + 1) / static_cast<double>(batch);
    const auto remaining = static_cast<int64_t>(share * static_cast<double>(request.output_tokens));
    submit_aged(run, request, std::clamp<int64_t>(remaining, 1, request.output_tokens));
  }
  const auto refill_and_step = [&] {
    for (; run.in_flight() < batch; ++next) {
      const BenchRequest& request = request_at(next);
      run.submit(request, request.input_ids, request.output_tokens, run.now_s());
    }
    run.step();
  };
  // The window opens when the first batch has been prefilled.
  const int64_t first_batch = batch;
  while (run.started() < first_batch) {
    refill_and_step();
    progress.update(std::min(run.started(), first_batch), first_batch, "filling the batch");
  }
  progress.finish();
  const double start_s = run.now_s();
  run.open_window(start_s);
  double now_s = start_s;
  while (now_s - start_s < options.window_s) {
    refill_and_step();
    now_s = run.now_s();
    progress.update(static_cast<int64_t>(now_s - start_s), static_cast<int64_t>(options.window_s),
                    "seconds of the window");
  }
  // The last step may end after the window; the time counted is the time that passed.
  LoadResult result{.samples = run.close_window(now_s)};
  result.requests = run.finished();
  return result;
}

LoadResult run_latency(LoadRun& run, std::span<const BenchRequest> requests,
                       const LoadOptions& options, Progress& progress) {
  const size_t complete = options.itl_requests > 0
                              ? std::min(requests.size(), static_cast<size_t>(options.itl_requests))
                              : requests.size();
  const double start_s = run.now_s();
  LoadResult result;
  for (size_t i = 0; i < requests.size(); ++i) {
    const BenchRequest& request = requests[i];
    run.submit(request, request.input_ids, i < complete ? request.output_tokens : 1, run.now_s());
    run.run_until_idle();
    progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(requests.size()), "requests");
    const RequestTiming& timing = run.finished().back();
    if (i + 1 == complete) result.samples = collect_samples(run.finished(), timing.end_s - start_s);
    if (i + 1 > complete) result.samples.ttft_s.push_back(timing.ttft_s());
  }
  result.requests = run.finished();
  return result;
}

[[noreturn]] void fail_option(std::string_view option, std::string_view reason) {
  throw Error(ErrorCategory::kUsage, "", option, reason);
}

}  // namespace

LoadClock& steady_load_clock() {
  static MonotonicClock clock;
  return clock;
}

std::string_view to_string(LoadProtocol protocol) {
  switch (protocol) {
    case LoadProtocol::kFull:
      return "full";
    case LoadProtocol::kSteady:
      return "steady";
    case LoadProtocol::kLatency:
      return "latency";
  }
  return "full";
}

void check_load_options(const LoadOptions& options) {
  if (options.concurrency < 0) fail_option("--concurrency", "expected a number above 0");
  if (!(options.request_rate >= 0 && options.request_rate <= 1e9)) {
    fail_option("--request_rate", "expected a rate above 0 and at most 1e9");
  }
  if (options.request_rate > 0 && options.concurrency > 0) {
    fail_option("--request_rate", "cannot be combined with --concurrency; give one of them");
  }
  if (options.request_rate > 0 && options.protocol != LoadProtocol::kFull) {
    fail_option("--request_rate",
                fmt::format("needs --protocol full, got {}", to_string(options.protocol)));
  }
  if (options.protocol == LoadProtocol::kSteady && options.concurrency == 0) {
    fail_option("--concurrency", "the steady protocol needs the size of the batch to keep full");
  }
  if (options.protocol == LoadProtocol::kSteady &&
      !(options.window_s > 0 && options.window_s <= 86400)) {
    fail_option("--window", "expected a number of seconds above 0 and at most 86400");
  }
}

LoadResult run_load(LoadTarget& target, LoadClock& clock, std::span<const BenchRequest> requests,
                    const LoadOptions& options, Progress& progress) {
  check_load_options(options);
  if (requests.empty()) fail_option("--num_requests", "there are no requests to run");
  for (const BenchRequest& request : requests) {
    OCTAVO_CHECK(!request.input_ids.empty() && request.output_tokens > 0);
  }
  LoadRun run(target, clock);
  LoadResult result;
  switch (options.protocol) {
    case LoadProtocol::kFull:
      result = run_full(run, clock, requests, options, progress);
      break;
    case LoadProtocol::kSteady:
      result = run_steady(run, requests, options, progress);
      break;
    case LoadProtocol::kLatency:
      result = run_latency(run, requests, options, progress);
      break;
  }
  progress.finish();
  return result;
}

}  // namespace octavo

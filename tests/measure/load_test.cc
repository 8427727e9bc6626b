// Load: each protocol against a fake engine and a fake clock, with exact metric values.
// SPDX-License-Identifier: Apache-2.0
#include "measure/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "core/error.h"

namespace octavo {
namespace {

class FakeClock : public LoadClock {
 public:
  double now_s() override { return now; }
  void sleep_until(double moment_s) override {
    ++sleeps;
    now = std::max(now, moment_s);
  }
  double now = 0;
  int sleeps = 0;
};

// Every running request gains one token a step; a step takes one second. At most `batch` run.
class FakeEngine : public LoadTarget {
 public:
  explicit FakeEngine(FakeClock& clock, size_t batch = 1000) : clock_(clock), batch_(batch) {}

  void submit(int64_t request, std::span<const int32_t> input_ids, int64_t output_tokens) override {
    waiting_[request] = output_tokens;
    inputs[request].assign(input_ids.begin(), input_ids.end());
    outputs.push_back(output_tokens);
    peak = std::max(peak, waiting_.size());
  }
  bool step(std::vector<TokenEvent>& events) override {
    if (waiting_.empty() || stuck) return false;
    clock_.now += 1;
    size_t running = 0;
    for (auto it = waiting_.begin(); it != waiting_.end() && running < batch_; ++running) {
      const bool finished = --it->second == 0;
      events.push_back({.request = it->first, .tokens = silent ? 0 : 1, .finished = finished});
      it = finished ? waiting_.erase(it) : std::next(it);
    }
    return true;
  }
  void abort(int64_t request) override {
    aborted += 1;
    waiting_.erase(request);
  }

  std::map<int64_t, std::vector<int32_t>> inputs;
  std::vector<int64_t> outputs;
  size_t peak = 0;
  int aborted = 0;
  bool stuck = false;
  bool silent = false;

 private:
  FakeClock& clock_;
  size_t batch_;
  std::map<int64_t, int64_t> waiting_;
};

std::vector<BenchRequest> requests_of(std::initializer_list<int64_t> output_tokens) {
  std::vector<BenchRequest> requests;
  for (const int64_t tokens : output_tokens) {
    const auto task_id = static_cast<int64_t>(requests.size()) + 100;
    requests.push_back({.task_id = task_id, .input_ids = {1, 2, 3}, .output_tokens = tokens});
  }
  return requests;
}

class LoadTest : public testing::Test {
 protected:
  LoadResult run(LoadTarget& engine, const std::vector<BenchRequest>& requests,
                 LoadOptions options) {
    return run_load(engine, clock, requests, options, progress);
  }
  FakeClock clock;
  SilentProgress progress;
};

TEST_F(LoadTest, FullSubmitsEverythingAtOnce) {
  FakeEngine engine(clock);
  clock.now = 50;
  const LoadResult result = run(engine, requests_of({3, 1, 5}), {});
  EXPECT_EQ(engine.peak, 3u);
  ASSERT_EQ(result.requests.size(), 3u);
  EXPECT_EQ(result.requests[0].task_id, 101);  // in order of completion
  EXPECT_EQ(result.requests[2].task_id, 102);
  const Performance performance = summarize(result.samples);
  EXPECT_EQ(performance.output_tokens, 9);
  EXPECT_EQ(performance.total_s, 5);
  EXPECT_EQ(performance.token_throughput, 9.0 / 5);
  EXPECT_EQ(performance.request_throughput, 3.0 / 5);
  EXPECT_EQ(performance.ttft_ms->average, 1000);
  EXPECT_EQ(performance.itl_ms->average, 1000);
  EXPECT_EQ(performance.e2e_ms->average, 3000);
  EXPECT_EQ(performance.e2e_ms->max, 5000);
}

TEST_F(LoadTest, WaitingInTheEngineCountsForTheFirstToken) {
  FakeEngine engine(clock, /*batch=*/1);
  const Performance performance = summarize(run(engine, requests_of({2, 2}), {}).samples);
  EXPECT_EQ(performance.ttft_ms->min, 1000);
  EXPECT_EQ(performance.ttft_ms->max, 3000);
  EXPECT_EQ(performance.itl_ms->average, 1000);
}

TEST_F(LoadTest, ConcurrencyLimitsWhatIsInFlight) {
  FakeEngine engine(clock);
  const LoadResult result = run(engine, requests_of({2, 2, 2, 2, 2}), {.concurrency = 2});
  EXPECT_EQ(engine.peak, 2u);
  EXPECT_EQ(result.samples.total_s, 6);
  EXPECT_THAT(result.samples.ttft_s, testing::Each(1));  // from the submission, not the start
}

TEST_F(LoadTest, RateSpreadsArrivalsAndCountsFromThem) {
  FakeEngine engine(clock);
  const std::vector<BenchRequest> requests(2000, requests_of({1})[0]);
  const LoadResult result = run(engine, requests, {.request_rate = 0.25, .seed = 7});
  EXPECT_EQ(result.requests.size(), 2000u);
  // Mean gap 4 s over 2000 gaps: five standard errors are 0.45 s.
  EXPECT_NEAR(result.samples.total_s / 2000, 4, 0.45);
  EXPECT_GT(clock.sleeps, 500);
  // A request that arrives during a step waits for its end, so its latency lies between 1 and 2.
  for (const double ttft_s : result.samples.ttft_s) {
    ASSERT_GE(ttft_s, 1 - 1e-9);
    ASSERT_LE(ttft_s, 2 + 1e-9);
  }
  EXPECT_GT(*std::max_element(result.samples.ttft_s.begin(), result.samples.ttft_s.end()), 1.5);
}

TEST_F(LoadTest, RateIsTheSameForTheSameSeed) {
  const auto total_s = [&](uint64_t seed) {
    FakeEngine engine(clock);
    clock.now = 0;
    return run(engine, requests_of({1, 1, 1, 1}), {.request_rate = 0.1, .seed = seed})
        .samples.total_s;
  };
  EXPECT_EQ(total_s(1), total_s(1));
  EXPECT_NE(total_s(1), total_s(2));
}

TEST_F(LoadTest, LatencyRunsOneAtATimeAndSomeToTheFirstTokenOnly) {
  FakeEngine engine(clock);
  const LoadResult result = run(engine, requests_of({5, 3, 9, 9}),
                                {.protocol = LoadProtocol::kLatency, .itl_requests = 2});
  EXPECT_EQ(engine.peak, 1u);
  EXPECT_THAT(engine.outputs, testing::ElementsAre(5, 3, 1, 1));
  EXPECT_EQ(result.samples.ttft_s.size(), 4u);
  EXPECT_EQ(result.samples.itl_s.size(), 2u);
  // Throughput and end-to-end latency are those of the complete requests.
  const Performance performance = summarize(result.samples);
  EXPECT_EQ(performance.total_s, 8);
  EXPECT_EQ(performance.token_throughput, 1);
  EXPECT_EQ(performance.e2e_ms->average, 4000);
}

TEST_F(LoadTest, LatencyCanCompleteAll) {
  FakeEngine engine(clock);
  const LoadResult result = run(engine, requests_of({2, 2, 2, 2}),
                                {.protocol = LoadProtocol::kLatency, .itl_requests = 0});
  EXPECT_EQ(result.samples.itl_s.size(), 4u);
  EXPECT_EQ(result.samples.total_s, 8);
}

TEST_F(LoadTest, SteadyKeepsTheBatchFullAndCountsTheWindow) {
  FakeEngine engine(clock);
  const LoadResult result =
      run(engine, requests_of({4, 4}),
          {.protocol = LoadProtocol::kSteady, .concurrency = 4, .window_s = 100});
  // Ages: 1, 2, 3 and 4 tokens to come; what is generated lengthens the prompt.
  EXPECT_THAT(std::vector<int64_t>(engine.outputs.begin(), engine.outputs.begin() + 4),
              testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(engine.inputs[0], testing::ElementsAre(1, 2, 3, 1, 2, 3));
  EXPECT_THAT(engine.inputs[3], testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(engine.inputs[4], testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(engine.peak, 4u);
  // The first step fills the batch; then 100 steps of 4 tokens, one request ending in each.
  const Performance performance = summarize(result.samples);
  EXPECT_EQ(performance.total_s, 100);
  EXPECT_EQ(performance.output_tokens, 400);
  EXPECT_EQ(performance.token_throughput, 4);
  EXPECT_EQ(performance.requests, 100);
  EXPECT_EQ(performance.ttft_ms->max, 1000);
  EXPECT_EQ(performance.itl_ms->max, 1000);
  EXPECT_EQ(performance.itl_ms->min, 1000);
  EXPECT_EQ(performance.e2e_ms->max, 4000);
  // The request that ended in the last step was not replaced.
  EXPECT_EQ(engine.aborted, 3);
}

TEST_F(LoadTest, SteadyLeavesTheFillOutOfTheCount) {
  FakeEngine engine(clock, /*batch=*/1);  // so that filling four takes many steps
  const LoadResult result =
      run(engine, requests_of({8}),
          {.protocol = LoadProtocol::kSteady, .concurrency = 4, .window_s = 10});
  EXPECT_EQ(result.samples.total_s, 10);
  EXPECT_EQ(result.samples.output_tokens, 10);
}

TEST_F(LoadTest, AnIdleEngineWithUnfinishedRequestsIsAnError) {
  FakeEngine engine(clock);
  engine.stuck = true;
  EXPECT_THROW(run(engine, requests_of({1}), {}), Error);
}

TEST_F(LoadTest, AnEndWithoutATokenIsAnError) {
  FakeEngine engine(clock);
  engine.silent = true;
  EXPECT_THROW(run(engine, requests_of({1}), {}), Error);
}

struct BadOptions {
  LoadOptions options;
  std::string_view named;
};

class BadLoadOptions : public testing::TestWithParam<BadOptions> {};

TEST_P(BadLoadOptions, AreRefusedByName) {
  try {
    check_load_options(GetParam().options);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUsage);
    EXPECT_THAT(error.what(), testing::StartsWith(std::string(GetParam().named)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadLoadOptions,
    testing::Values(
        BadOptions{{.concurrency = -1}, "--concurrency"},
        BadOptions{{.request_rate = -1}, "--request_rate"},
        BadOptions{{.request_rate = std::numeric_limits<double>::quiet_NaN()}, "--request_rate"},
        BadOptions{{.concurrency = 1, .request_rate = 1}, "--request_rate"},
        BadOptions{{.protocol = LoadProtocol::kLatency, .request_rate = 1}, "--request_rate"},
        BadOptions{{.protocol = LoadProtocol::kSteady}, "--concurrency"},
        BadOptions{{.protocol = LoadProtocol::kSteady, .concurrency = 1, .window_s = 0},
                   "--window"}));

TEST(LoadProtocol, Names) {
  EXPECT_EQ(to_string(LoadProtocol::kFull), "full");
  EXPECT_EQ(to_string(LoadProtocol::kSteady), "steady");
  EXPECT_EQ(to_string(LoadProtocol::kLatency), "latency");
}

TEST(SteadyLoadClock, MovesForward) {
  const double before = steady_load_clock().now_s();
  steady_load_clock().sleep_until(before + 0.002);
  EXPECT_GE(steady_load_clock().now_s(), before + 0.002);
}

}  // namespace
}  // namespace octavo

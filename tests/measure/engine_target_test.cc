// EngineTarget: every protocol over the real engine and scheduler with a device without a model.
// SPDX-License-Identifier: Apache-2.0
#include "measure/engine_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "measure/synthetic.h"
#include "runtime/fake_executor.h"

namespace octavo {
namespace {

constexpr int32_t kVocabulary = 1000;

// Advances by a second at every look, so that moments differ.
class CountingClock : public LoadClock {
 public:
  double now_s() override { return now += 1; }
  void sleep_until(double moment_s) override { now = std::max(now, moment_s); }
  double now = 0;
};

class EngineTargetTest : public ::testing::TestWithParam<int> {  // the depth of running ahead
 protected:
  EngineTargetTest()
      : executor({.num_blocks = 64,
                  .tokens_per_block = 4,
                  .vocab_size = kVocabulary,
                  .max_batch_size = 8,
                  .max_num_tokens = 32,
                  .depth = GetParam()}),
        engine({.scheduler = {.max_batch_size = 8,
                              .max_num_tokens = 32,
                              .max_seq_len = 64,
                              .tokens_per_block = 4,
                              .num_blocks = 64,
                              .enable_block_reuse = false,
                              .depth = GetParam()},
                .vocab_size = kVocabulary,
                .eos_token_ids = {1, 2, 3}},
               executor),
        target(engine) {}

  std::vector<BenchRequest> requests(int64_t count, double input, double output) {
    return synthetic_requests({.num_requests = count,
                               .input = NormalLengths{.mean = input, .stdev = 3},
                               .output = NormalLengths{.mean = output, .stdev = 3},
                               .vocab_size = kVocabulary,
                               .seed = 1});
  }
  LoadResult run(std::span<const BenchRequest> list, const LoadOptions& options) {
    return run_load(target, clock, list, options, progress);
  }

  octavo::testing::FakeExecutor executor;
  Engine engine;
  EngineTarget target;
  CountingClock clock;
  SilentProgress progress;
};

TEST_P(EngineTargetTest, FullGivesEveryTokenAskedFor) {
  const auto list = requests(40, 12, 10);
  const LoadResult result = run(list, {});
  ASSERT_EQ(result.requests.size(), list.size());
  int64_t asked = 0;
  for (const BenchRequest& request : list) asked += request.output_tokens;
  EXPECT_EQ(result.samples.output_tokens, asked);
  for (const RequestTiming& timing : result.requests) {
    const BenchRequest& request = list[static_cast<size_t>(timing.task_id)];
    EXPECT_EQ(timing.output_tokens, request.output_tokens);
    EXPECT_EQ(timing.input_tokens, static_cast<int64_t>(request.input_ids.size()));
    EXPECT_GT(timing.ttft_s(), 0);
    EXPECT_GE(timing.end_s, timing.first_token_s);
  }
  EXPECT_EQ(engine.statistics().finished, 40);
  EXPECT_EQ(engine.scheduler().statistics().used_blocks, 0);
}

TEST_P(EngineTargetTest, RunsFollowEachOther) {
  const auto list = requests(10, 8, 5);
  run(fresh_requests(list, 2, kVocabulary, 1), {});
  EXPECT_EQ(run(list, {.concurrency = 3}).requests.size(), 10u);
  EXPECT_EQ(run(list, {.request_rate = 0.1}).requests.size(), 10u);
}

TEST_P(EngineTargetTest, LatencyRunsAlone) {
  const LoadResult result =
      run(requests(5, 8, 6), {.protocol = LoadProtocol::kLatency, .itl_requests = 2});
  EXPECT_EQ(result.samples.ttft_s.size(), 5u);
  EXPECT_EQ(result.samples.itl_s.size(), 2u);
  EXPECT_EQ(engine.statistics().finished, 5);
}

TEST_P(EngineTargetTest, SteadyLeavesTheEngineEmpty) {
  const auto list = requests(20, 8, 12);
  const LoadResult result =
      run(list, {.protocol = LoadProtocol::kSteady, .concurrency = 6, .window_s = 300});
  EXPECT_GT(result.samples.output_tokens, 0);
  EXPECT_GE(result.samples.total_s, 300);
  EXPECT_FALSE(result.samples.itl_s.empty());
  EXPECT_GT(engine.statistics().aborted, 0);
  EXPECT_FALSE(engine.scheduler().has_work());
  EXPECT_EQ(engine.scheduler().num_in_flight(), 0);
  EXPECT_EQ(engine.scheduler().statistics().used_blocks, 0);
  engine.scheduler().check_invariants();
  EXPECT_EQ(run(list, {}).requests.size(), 20u);  // and fit for the next run
}

TEST_P(EngineTargetTest, ARequestThatCannotFitIsNamed) {
  auto list = requests(3, 8, 6);
  list[1].task_id = 77;
  list[1].output_tokens = 1000;
  try {
    run(list, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUsage);
    EXPECT_THAT(error.what(), ::testing::StartsWith("request 77: "));
  }
}

TEST_P(EngineTargetTest, AFailedRequestEndsTheRun) {
  const auto list = requests(3, 8, 6);
  executor.poison_token = list[1].input_ids.back();
  try {
    run(list, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kDevice);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("request "));
  }
}

INSTANTIATE_TEST_SUITE_P(Depth, EngineTargetTest, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace octavo

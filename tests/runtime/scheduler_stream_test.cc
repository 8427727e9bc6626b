// Random request streams against invariants: nothing lost, leaked, starved or changed by company.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "fake_executor.h"
#include "runtime/engine.h"
#include "threaded_executor.h"

namespace octavo {
namespace {

using testing::FakeExecutor;
using testing::solo_tokens;

struct Case {
  SchedulerPolicy policy;
  int depth;
  bool reuse;
  bool threaded = false;  // steps run on a thread of their own
  int micro_batches = 1;
};

std::string name(const ::testing::TestParamInfo<Case>& info) {
  return std::string(info.param.policy == SchedulerPolicy::kGuaranteedNoEvict ? "NoEvict"
                                                                              : "MaxUtil") +
         "Depth" + std::to_string(info.param.depth) + (info.param.reuse ? "Reuse" : "") +
         (info.param.micro_batches > 1 ? fmt::format("Groups{}", info.param.micro_batches) : "");
}

uint64_t same_hash(uint64_t, uint64_t, std::span<const int32_t>) { return 7; }

class Stream {
 public:
  Stream(const Case& params, uint64_t seed) : random_(seed) {
    EngineOptions options;
    vocab_ = pick(5, 60);
    SchedulerConfig& config = options.scheduler;
    config.policy = params.policy;
    config.depth = params.depth;
    config.micro_batches = params.micro_batches;
    config.enable_block_reuse = params.reuse;
    config.tokens_per_block = pick(1, 9);
    config.num_blocks = pick(1, 60);
    config.max_batch_size = pick(1, 12);
    config.max_num_tokens = pick(1, 40);
    config.max_seq_len = pick(2, 150);
    if (pick(0, 3) == 0) config.hash = same_hash;
    capacity_ = std::min(config.max_seq_len, config.num_blocks * config.tokens_per_block);
    options.vocab_size = vocab_;
    options.eos_token_ids = {0};
    options.clock = [this] { return now_; };
    executor_ = std::make_unique<FakeExecutor>(
        testing::FakeLimits{.num_blocks = config.num_blocks,
                            .tokens_per_block = config.tokens_per_block,
                            .vocab_size = vocab_,
                            .max_batch_size = config.max_batch_size,
                            .max_num_tokens = config.max_num_tokens,
                            .depth = config.depth});
    if (params.threaded) threaded_ = std::make_unique<testing::ThreadedExecutor>(*executor_);
    StepExecutor& executor = params.threaded ? *threaded_ : static_cast<StepExecutor&>(*executor_);
    engine_ = std::make_unique<Engine>(options, executor);
  }

  // What a set of streams must have met, lest it test nothing.
  struct Coverage {
    int64_t steps = 0, preemptions = 0, cached_tokens = 0, evictions = 0, aborts = 0;
  };

  void run(int64_t num_requests, Coverage& coverage) {
    while (num_requests > 0 || engine_->scheduler().has_work()) {
      for (int burst = pick(0, 4); burst > 0 && num_requests > 0; --burst) {
        if (submit()) --num_requests;
      }
      if (pick(0, 9) == 0 && !expected_.empty()) abort();
      engine_->step();
      engine_->scheduler().check_invariants();
      collect();
      now_ += pick(0, 3) * 0.25;
    }
    check_idle();
    const EngineStatistics statistics = engine_->statistics();
    coverage.steps += statistics.scheduler.steps;
    coverage.preemptions += statistics.scheduler.preemptions;
    coverage.cached_tokens += statistics.cached_tokens;
    coverage.evictions += engine_->scheduler().blocks().counters().evicted;
    coverage.aborts += statistics.aborted;
  }

 private:
  struct Expected {
    std::vector<int32_t> tokens;
    bool aborted = false;
  };

  int32_t pick(int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(random_);
  }

  bool submit() {
    if (capacity_ < 2) return true;
    Request request;
    const int32_t prompt =
        pick(0, 3) == 0 ? pick(1, capacity_ - 1) : pick(1, std::min(capacity_ - 1, 12));
    request.sampling.max_tokens = pick(1, capacity_ - prompt);
    // Few distinct prompts, so that prefixes are shared.
    const int32_t family = pick(0, 2);
    for (int32_t i = 0; i < prompt; ++i) {
      request.prompt_token_ids.push_back(1 + (i * (family + 1)) % (vocab_ - 1));
    }
    if (pick(0, 4) == 0) request.prompt_token_ids.back() = pick(1, vocab_ - 1);
    if (pick(0, 2) == 0) request.sampling.seed = static_cast<uint64_t>(pick(0, 5));
    if (pick(0, 2) == 0) request.sampling.repetition_penalty = 1.5f;
    if (pick(0, 3) == 0) request.sampling.ignore_eos = true;
    if (pick(0, 3) == 0)
      request.sampling.min_tokens = pick(0, static_cast<int32_t>(request.sampling.max_tokens));
    if (pick(0, 3) == 0) request.sampling.stop_token_ids = {pick(0, vocab_ - 1)};
    if (pick(0, 3) == 0) request.cache_salt = 1;
    std::vector<int32_t> stops = request.sampling.stop_token_ids;
    if (!request.sampling.ignore_eos) stops.push_back(0);
    Expected expected{solo_tokens(request.prompt_token_ids, request.sampling, stops, vocab_)};
    expected_.emplace(engine_->submit(std::move(request)), std::move(expected));
    return true;
  }

  void abort() {
    auto victim = std::next(expected_.begin(), pick(0, static_cast<int32_t>(expected_.size()) - 1));
    victim->second.aborted |= engine_->abort(victim->first);
  }

  void collect() {
    for (const RequestOutput& output : engine_->take_finished()) {
      const auto entry = expected_.find(output.id);
      ASSERT_NE(entry, expected_.end()) << "finished twice: " << output.id;
      const Expected& expected = entry->second;
      EXPECT_EQ(expected.aborted, output.finish_reason == FinishReason::kAbort);
      EXPECT_NE(output.finish_reason, FinishReason::kError) << output.error;
      ASSERT_LE(output.token_ids.size(), expected.tokens.size());
      EXPECT_TRUE(
          std::equal(output.token_ids.begin(), output.token_ids.end(), expected.tokens.begin()))
          << "request " << output.id << " after " << output.preemptions << " preemptions, "
          << output.cached_tokens << " cached tokens";
      if (!expected.aborted) {
        EXPECT_EQ(output.token_ids.size(), expected.tokens.size());
      }
      EXPECT_LE(output.preemptions, Scheduler::kMaxPreemptions);
      expected_.erase(entry);
    }
  }

  void check_idle() {
    EXPECT_TRUE(expected_.empty()) << expected_.size() << " requests lost";
    EXPECT_EQ(engine_->scheduler().blocks().num_used(), 0);
    EXPECT_EQ(engine_->scheduler().num_in_flight(), 0);
    EXPECT_EQ(engine_->statistics().scheduler.stalls, 0);
  }

  std::mt19937_64 random_;
  int32_t vocab_ = 0, capacity_ = 0;
  double now_ = 0;
  std::unique_ptr<FakeExecutor> executor_;
  std::unique_ptr<testing::ThreadedExecutor> threaded_;
  std::unique_ptr<Engine> engine_;
  std::map<RequestId, Expected> expected_;
};

class SchedulerStream : public ::testing::TestWithParam<Case> {};

TEST(SchedulerStreamThreads, AStepMayRunWhileTheNextIsScheduled) {
  Stream::Coverage coverage;
  for (uint64_t seed = 1; coverage.steps < 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Stream({SchedulerPolicy::kMaxUtilization, 2, true, /*threaded=*/true}, seed).run(40, coverage);
    if (HasFailure()) return;
  }
}

TEST_P(SchedulerStream, EqualsRunningEachRequestAlone) {
  Stream::Coverage coverage;
  // Longer runs: --gtest_shuffle --gtest_repeat=N draws new streams each time.
  const auto base = static_cast<uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
  for (uint64_t seed = base * 1000 + 1; coverage.steps < 10000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Stream(GetParam(), seed).run(40, coverage);
    if (HasFailure()) return;
  }
  const bool evicts = GetParam().policy == SchedulerPolicy::kMaxUtilization;
  EXPECT_EQ(coverage.preemptions > 0, evicts);
  EXPECT_EQ(coverage.cached_tokens > 0, GetParam().reuse);
  EXPECT_EQ(coverage.evictions > 0, GetParam().reuse);
  EXPECT_GT(coverage.aborts, 0);
}

std::vector<Case> cases() {
  std::vector<Case> cases;
  for (const auto policy :
       {SchedulerPolicy::kGuaranteedNoEvict, SchedulerPolicy::kMaxUtilization}) {
    for (const int depth : {0, 1, 2}) {
      for (const bool reuse : {false, true}) cases.push_back({policy, depth, reuse});
    }
    for (const int groups : {2, 3}) {
      for (const int depth : {groups - 1, groups + 1})
        cases.push_back({.policy = policy, .depth = depth, .reuse = true, .micro_batches = groups});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, SchedulerStream, ::testing::ValuesIn(cases()), name);

}  // namespace
}  // namespace octavo

// Several ranks behind one runner: the same numbers, and an end by name where one fails.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/rank_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "comm/comm.h"
#include "runtime/engine.h"
#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

using testing::HasSubstr;

// What rank 1 does in its swiglu calls; or, of two stages, what both do: wait there for each other.
enum class Fault { kNone, kThrow, kStall, kMeet };
std::atomic<Fault> fault{Fault::kNone};
std::atomic<bool> release_stalled{false};
std::atomic<int> inside[2];
std::atomic<bool> met{false};

void meet_other_stage(int64_t rank) {
  ++inside[rank];
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (!met && std::chrono::steady_clock::now() < end) {
    if (inside[1 - rank] > 0) met = true;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  --inside[rank];
}

const Kernel& swiglu() { return *cpu_registry().find("cpu_swiglu"); }

void run_faulty(const Operands& operands, const LaunchContext& context) {
  if (context.comm != nullptr && fault == Fault::kMeet)
    meet_other_stage(context.comm->place().rank);
  if (context.comm != nullptr && context.comm->place().rank == 1) {
    if (fault == Fault::kThrow) throw Error(ErrorCategory::kInternal, "planted");
    while (fault == Fault::kStall && !release_stalled)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  swiglu().run(operands, context);
}

const KernelRegistry& faulty_registry() {
  static const KernelRegistry registry = [] {
    static std::vector<Kernel> kernels(cpu_kernels().begin(), cpu_kernels().end());
    for (Kernel& kernel : kernels) {
      if (kernel.name == "cpu_swiglu") kernel.run = run_faulty;
    }
    KernelRegistry all;
    all.add(kernels);
    return all;
  }();
  return registry;
}

struct RankHost {
  ThreadPool pool{1};
  HostDevice device{pool};
};

class RankGroupTest : public testing::Test {
 protected:
  RankGroupTest() {
    fault = Fault::kNone;
    release_stalled = false;
  }
  ~RankGroupTest() override { release_stalled = true; }

  static std::vector<RankImage> images(int64_t tp, int64_t pp) {
    const ModelDir model = tiny_model(fp8_with_kv_cache());
    BuildConfig limits = tiny_limits();
    limits.tp_size = tp;
    limits.pp_size = pp;
    std::vector<RankImage> ranks;
    for (Blueprint& rank : make_blueprints(model, limits, cpu_registry())) {
      const auto host = std::make_shared<RankHost>();
      ranks.push_back({std::make_shared<EngineImage>(
                           build_image(model, std::move(rank), cpu_registry(), nullptr)),
                       {host, &host->device}});
    }
    return ranks;
  }

  // The same with sums and norms in one call, user buffers, and residuals that ranks keep parts of
  // where `sharded`: as if that had been measured to be faster.
  static std::vector<RankImage> fused_images(int64_t tp, int64_t pp, bool sharded) {
    const ModelDir model = tiny_model(fp8_with_kv_cache());
    BuildConfig limits = tiny_limits();
    limits.tp_size = tp;
    limits.pp_size = pp;
    limits.plugin_config.reduce_fusion = limits.plugin_config.user_buffer = true;
    std::vector<Fusion> fusions(fusion_table().begin(), fusion_table().end());
    for (Fusion& fusion : fusions) {
      if (sharded && fusion.competition == Competition::kBetweenRanks)
        fusion.competition = Competition::kNone;
    }
    std::vector<RankImage> ranks;
    for (int64_t rank = 0; rank < tp * pp; ++rank) {
      const auto host = std::make_shared<RankHost>();
      ranks.push_back(
          {std::make_shared<EngineImage>(build_image(
               model, make_blueprint(model, limits, cpu_registry(), nullptr, fusions, rank),
               cpu_registry(), nullptr)),
           {host, &host->device}});
    }
    return ranks;
  }

  static std::unique_ptr<Runner> runner(int64_t tp, int64_t pp) {
    return std::make_unique<Runner>(
        images(tp, pp), faulty_registry(),
        RunnerOptions{.num_blocks = 64, .stall_limit = std::chrono::milliseconds(300)});
  }

  // Tokens of some prompts, greedily, through scheduler and engine.
  static std::vector<std::vector<int32_t>> tokens_of(Runner& runner, int32_t micro_batches,
                                                     int32_t depth) {
    EngineOptions options{.scheduler = {.max_batch_size = 4,
                                        .max_num_tokens = 32,
                                        .max_seq_len = 64,
                                        .tokens_per_block = 4,
                                        .num_blocks = 64,
                                        .depth = depth,
                                        .micro_batches = micro_batches},
                          .vocab_size = static_cast<int32_t>(runner.config().vocab_size)};
    Engine engine(options, runner);
    std::vector<RequestId> ids;
    for (int32_t seed = 1; seed <= 5; ++seed) {
      Request request;
      request.prompt_token_ids = tiny_ids(2 + seed, seed);
      request.sampling.max_tokens = 6 + seed;
      request.sampling.ignore_eos = true;
      ids.push_back(engine.submit(std::move(request)));
    }
    engine.run_until_idle();
    std::vector<std::vector<int32_t>> tokens(ids.size());
    for (const RequestOutput& output : engine.take_finished())
      tokens[static_cast<size_t>(output.id - ids.front())] = output.token_ids;
    return tokens;
  }

  // The message of the Error(kDevice) that a step ends with.
  static std::string failure_of(Runner& runner) {
    try {
      logits_of(runner, tiny_ids(5));
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kDevice);
      return error.what();
    }
    return "";
  }
};

TEST_F(RankGroupTest, StagesGiveTheBitsOfOneRank) {
  EXPECT_EQ(logits_of(*runner(1, 2), tiny_ids(40)), logits_of(*runner(1, 1), tiny_ids(40)));
}

TEST_F(RankGroupTest, FusedUserBufferedAndShardedSumsGiveTheBitsOfSeparateCalls) {
  for (const auto& [tp, pp] : {std::pair{2, 1}, {4, 1}, {2, 2}}) {
    const Rows separate = logits_of(*runner(tp, pp), tiny_ids(43));
    for (const bool sharded : {false, true}) {
      Runner fused(fused_images(tp, pp, sharded), cpu_registry(), {.num_blocks = 64});
      EXPECT_EQ(logits_of(fused, tiny_ids(43)), separate) << tp << ' ' << pp << ' ' << sharded;
    }
  }
}

TEST_F(RankGroupTest, MicroBatchesOfStagesGiveTheTokensOfOneRank) {
  const auto one = tokens_of(*runner(1, 1), 1, 1);
  ASSERT_EQ(one.back().size(), 11u);
  for (const int32_t depth : {0, 1, 2, 3}) {
    EXPECT_EQ(tokens_of(*runner(1, 2), 2, depth), one) << depth;
    EXPECT_EQ(tokens_of(*runner(1, 2), 1, depth), one) << depth;
  }
  EXPECT_EQ(tokens_of(*runner(2, 2), 2, 2), tokens_of(*runner(2, 1), 1, 1));
}

// While the last stage computes a step, the first one computes another.
TEST_F(RankGroupTest, TwoStagesWorkAtTheSameTime) {
  const auto ranks = std::make_unique<Runner>(
      images(1, 2), faulty_registry(),
      RunnerOptions{.num_blocks = 64, .stall_limit = std::chrono::seconds(8)});
  met = false;
  fault = Fault::kMeet;
  tokens_of(*ranks, 2, 2);
  EXPECT_TRUE(met);
}

TEST_F(RankGroupTest, StepsThatAreLeftUnfinishedEndWithTheGroup) {
  const auto ranks = runner(1, 2);
  const SamplingParams greedy;
  for (int64_t id = 0; id < 3; ++id) {
    StepSequence sequence{.slot = static_cast<int32_t>(id),
                          .num_tokens = 3,
                          .tokens = tiny_ids(3),
                          .blocks = {static_cast<int32_t>(id)},
                          .sample = true,
                          .sampling = &greedy};
    ranks->launch({.id = id, .sequences = {sequence}, .num_tokens = 3});
  }
  EXPECT_EQ(ranks->wait().id, 0);
}

TEST_F(RankGroupTest, TheKvPoolIsThatOfAllRanks) {
  EXPECT_EQ(runner(1, 2)->kv_pool_bytes(), runner(1, 1)->kv_pool_bytes());
  EXPECT_EQ(runner(2, 1)->kv_pool_bytes(), runner(1, 1)->kv_pool_bytes());
  EXPECT_EQ(runner(4, 1)->kv_pool_bytes(), 2 * runner(1, 1)->kv_pool_bytes());  // 2 KV heads
}

TEST_F(RankGroupTest, AllRanksOfAnEngineAreNeeded) {
  std::vector<RankImage> two = images(2, 1);
  two.pop_back();
  EXPECT_THROW(Runner(two, cpu_registry(), {}), Error);
}

TEST_F(RankGroupTest, ARankThatThrowsEndsTheStepByName) {
  for (const auto& [tp, pp] : {std::pair{2, 1}, {4, 1}, {1, 2}, {2, 2}}) {
    const auto ranks = runner(tp, pp);
    fault = Fault::kThrow;
    EXPECT_EQ(failure_of(*ranks), "rank 1 failed: planted");
    fault = Fault::kNone;
    EXPECT_EQ(failure_of(*ranks), "rank 1 failed: planted");  // of no use any more
  }
}

TEST_F(RankGroupTest, ARankThatStallsEndsTheStepByNameAndIsNotWaitedFor) {
  for (const auto& [tp, pp] : {std::pair{2, 1}, {1, 2}}) {
    const auto start = std::chrono::steady_clock::now();
    fault = Fault::kStall;
    {
      const auto ranks = runner(tp, pp);
      EXPECT_THAT(failure_of(*ranks), HasSubstr("rank 1 stalled"));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
  release_stalled = true;
}

}  // namespace
}  // namespace octavo

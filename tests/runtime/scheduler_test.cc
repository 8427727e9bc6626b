// What each step holds: admission, chunking, preemption, fairness, refusals.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "core/error.h"

namespace octavo {
namespace {

using ::testing::HasSubstr;

SchedulerConfig small_config() {
  return {.max_batch_size = 8,
          .max_num_tokens = 16,
          .max_seq_len = 64,
          .tokens_per_block = 4,
          .num_blocks = 32,
          .enable_block_reuse = false,
          .depth = 0};
}

SchedulerRequest request(RequestId id, int32_t prompt, int64_t max_tokens) {
  SchedulerRequest request{.id = id};
  for (int32_t i = 0; i < prompt; ++i) request.prompt.push_back(1 + i % 7);
  request.sampling.max_tokens = max_tokens;
  return request;
}

// Every sampled token is `token`.
StepResult result_of(const Step& step, int32_t token = 1) {
  StepResult result{.id = step.id};
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.sample) result.tokens.push_back({.token = token});
  }
  return result;
}

// Runs until nothing is left; returns the ids in the order of their end.
std::vector<RequestId> drain(Scheduler& scheduler) {
  std::vector<RequestId> order;
  for (int i = 0; i < 100000 && scheduler.has_work(); ++i) {
    if (const auto step = scheduler.schedule()) scheduler.commit(result_of(*step));
    scheduler.check_invariants();
    for (const SchedulerEvent& event : scheduler.take_events()) {
      if (event.finished) order.push_back(event.id);
    }
  }
  EXPECT_FALSE(scheduler.has_work());
  EXPECT_EQ(scheduler.blocks().num_used(), 0);
  return order;
}

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Scheduler, APromptIsSplitIntoChunksAndDecodesComeFirst) {
  Scheduler scheduler(small_config());
  scheduler.add(request(0, 5, 3));
  Step step = *scheduler.schedule();
  ASSERT_EQ(step.sequences.size(), 1u);
  EXPECT_EQ(step.sequences[0].num_tokens, 5);
  EXPECT_TRUE(step.sequences[0].sample);
  scheduler.commit(result_of(step));

  scheduler.add(request(1, 40, 3));
  step = *scheduler.schedule();
  ASSERT_EQ(step.sequences.size(), 2u);
  EXPECT_EQ(step.num_tokens, 16);
  EXPECT_TRUE(step.sequences[0].tokens.empty());  // its token is the slot's last sample
  EXPECT_EQ(step.sequences[0].first_position, 5);
  EXPECT_EQ(step.sequences[0].output_index, 1);
  EXPECT_EQ(step.sequences[1].num_tokens, 15);
  EXPECT_FALSE(step.sequences[1].sample);
  EXPECT_EQ(step.sequences[1].blocks.size(), 4u);
  scheduler.commit(result_of(step));
  step = *scheduler.schedule();
  EXPECT_EQ(step.sequences[1].first_position, 15);
  scheduler.commit(result_of(step));
  step = *scheduler.schedule();
  ASSERT_EQ(step.sequences.size(), 1u);  // the first request is done
  EXPECT_EQ(step.sequences[0].first_position, 30);
  EXPECT_EQ(step.sequences[0].num_tokens, 10);
  EXPECT_TRUE(step.sequences[0].sample);
  scheduler.commit(result_of(step));
  drain(scheduler);
}

std::vector<int32_t> slots_of(const Step& step) {
  std::vector<int32_t> slots;
  for (const StepSequence& sequence : step.sequences) slots.push_back(sequence.slot);
  std::ranges::sort(slots);
  return slots;
}

// Two stages: while the last works on one half of the sequences, the first has the other half.
TEST(SchedulerMicroBatches, GroupsShareTheSequencesAndTakeTurns) {
  SchedulerConfig config = small_config();
  config.depth = 1;
  config.micro_batches = 2;
  Scheduler scheduler(config);
  for (RequestId id = 0; id < 5; ++id) scheduler.add(request(id, 2, 6));
  Step a = *scheduler.schedule(), b = *scheduler.schedule();
  EXPECT_FALSE(scheduler.schedule());  // depth
  EXPECT_EQ(a.sequences.size(), 3u);
  EXPECT_EQ(b.sequences.size(), 2u);
  const std::vector<int32_t> slots_a = slots_of(a), slots_b = slots_of(b);
  for (int turn = 0; turn < 4; ++turn) {
    scheduler.commit(result_of(a));  // before the group's next step: no token is waited for
    a = *scheduler.schedule();
    EXPECT_EQ(slots_of(a), slots_a);
    scheduler.commit(result_of(b));
    b = *scheduler.schedule();
    EXPECT_EQ(slots_of(b), slots_b);
    scheduler.check_invariants();
  }
  scheduler.commit(result_of(a));
  scheduler.commit(result_of(b));
  drain(scheduler);
}

TEST(SchedulerMicroBatches, AGroupThatOthersOutliveTakesFromTheLargest) {
  SchedulerConfig config = small_config();
  config.depth = 1;
  config.micro_batches = 2;
  Scheduler scheduler(config);
  for (RequestId id = 0; id < 8; ++id) scheduler.add(request(id, 1, id < 4 ? 2 : 12));
  std::deque<Step> in_flight;
  size_t smallest = 8;
  for (int i = 0; i < 40 && scheduler.has_work(); ++i) {
    while (std::optional<Step> step = scheduler.schedule()) in_flight.push_back(std::move(*step));
    if (i > 5 && i < 12) smallest = std::min(smallest, in_flight.back().sequences.size());
    scheduler.commit(result_of(in_flight.front()));
    in_flight.pop_front();
    scheduler.check_invariants();
  }
  EXPECT_FALSE(scheduler.has_work());
  EXPECT_EQ(smallest, 2u);  // four are left: two and two
}

// One sequence is scheduled ahead as without groups, and a group without any is passed over.
TEST(SchedulerMicroBatches, OneSequenceTakesEveryTurn) {
  SchedulerConfig config = small_config();
  config.depth = 2;
  config.micro_batches = 2;
  Scheduler scheduler(config);
  scheduler.add(request(0, 3, 4));
  for (int step = 0; step < 3; ++step) EXPECT_TRUE(scheduler.schedule()) << step;
  EXPECT_FALSE(scheduler.schedule());
}

TEST(Scheduler, EdgesOfTheBudget) {
  for (const int32_t prompt : {1, 3, 4, 5, 15, 16, 17, 31, 32, 33}) {
    for (const int32_t budget : {1, 15, 16, 17}) {
      SchedulerConfig config = small_config();
      config.max_num_tokens = budget;
      Scheduler scheduler(config);
      scheduler.add(request(0, prompt, 2));
      int64_t computed = 0;
      while (scheduler.has_work()) {
        const Step step = *scheduler.schedule();
        EXPECT_LE(step.num_tokens, budget);
        computed += step.num_tokens;
        scheduler.commit(result_of(step));
      }
      EXPECT_EQ(computed, prompt + 1);  // the last token is never an input
    }
  }
}

TEST(Scheduler, TheBatchIsLimited) {
  Scheduler scheduler(small_config());
  for (RequestId id = 0; id < 9; ++id) scheduler.add(request(id, 1, 2));
  const Step step = *scheduler.schedule();
  EXPECT_EQ(step.sequences.size(), 8u);
  EXPECT_EQ(scheduler.statistics().waiting, 1);
  scheduler.commit(result_of(step));
  EXPECT_EQ(drain(scheduler).size(), 9u);
}

TEST(Scheduler, RefusesAtOnceWhatCanNeverFit) {
  Scheduler scheduler(small_config());
  EXPECT_THAT(message_of([&] { scheduler.add(request(0, 60, 5)); }),
              HasSubstr("prompt 60 + max_tokens 5 = 65 tokens, max_seq_len is 64"));
  EXPECT_NO_THROW(scheduler.add(request(1, 60, 4)));
  EXPECT_THAT(message_of([&] { scheduler.add(request(2, 0, 4)); }), HasSubstr("prompt"));
  EXPECT_THAT(message_of([&] { scheduler.add(request(3, 1, int64_t{1} << 62)); }),
              HasSubstr("max_tokens"));
  EXPECT_THAT(message_of([&] { scheduler.add(request(1, 1, 1)); }), HasSubstr("exists"));

  SchedulerConfig config = small_config();
  config.num_blocks = 3;
  Scheduler tight(config);
  EXPECT_THAT(message_of([&] { tight.add(request(0, 10, 3)); }),
              HasSubstr("prompt 10 + max_tokens 3 = 13 tokens, the KV cache holds 12"));
  EXPECT_NO_THROW(tight.add(request(0, 10, 2)));
  EXPECT_EQ(drain(tight).size(), 1u);
}

TEST(Scheduler, TheQueueIsLimited) {
  SchedulerConfig config = small_config();
  config.max_waiting = 2;
  Scheduler scheduler(config);
  scheduler.add(request(0, 1, 1));
  scheduler.add(request(1, 1, 1));
  try {
    scheduler.add(request(2, 1, 1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  }
  EXPECT_EQ(drain(scheduler).size(), 2u);
}

TEST(Scheduler, RefusesBadConfigurations) {
  const auto with = [](auto set) {
    SchedulerConfig config = small_config();
    set(config);
    return message_of([&] { Scheduler scheduler(config); });
  };
  EXPECT_THAT(with([](auto& c) { c.max_batch_size = 0; }), HasSubstr("max_batch_size"));
  EXPECT_THAT(with([](auto& c) { c.max_num_tokens = 0; }), HasSubstr("max_num_tokens"));
  EXPECT_THAT(with([](auto& c) { c.max_seq_len = 0; }), HasSubstr("max_seq_len"));
  EXPECT_THAT(with([](auto& c) { c.depth = -1; }), HasSubstr("depth"));
  EXPECT_THAT(with([](auto& c) { c.num_blocks = 0; }), HasSubstr("num_blocks"));
}

TEST(Scheduler, NoEvictReservesTheWorstCase) {
  SchedulerConfig config = small_config();
  config.num_blocks = 8;  // 32 tokens
  Scheduler scheduler(config);
  scheduler.add(request(0, 4, 16));  // 5 blocks
  scheduler.add(request(1, 4, 16));  // 5 blocks: has to wait
  scheduler.add(request(2, 4, 8));   // 3 blocks: fits beside the first
  const Step step = *scheduler.schedule();
  EXPECT_EQ(step.sequences.size(), 2u);
  EXPECT_EQ(scheduler.statistics().waiting, 1);
  scheduler.commit(result_of(step));
  drain(scheduler);
  EXPECT_EQ(scheduler.statistics().preemptions, 0);
}

TEST(Scheduler, MaxUtilizationPreemptsTheYoungest) {
  SchedulerConfig config = small_config();
  config.policy = SchedulerPolicy::kMaxUtilization;
  config.num_blocks = 6;
  Scheduler scheduler(config);
  for (RequestId id = 0; id < 2; ++id) scheduler.add(request(id, 4, 16));
  std::vector<RequestId> order;
  std::map<RequestId, int32_t> preemptions;
  while (scheduler.has_work()) {
    const auto step = scheduler.schedule();
    ASSERT_TRUE(step);
    scheduler.commit(result_of(*step));
    scheduler.check_invariants();
    for (const SchedulerEvent& event : scheduler.take_events()) {
      if (!event.finished) continue;
      order.push_back(event.id);
      preemptions[event.id] = event.preemptions;
    }
  }
  EXPECT_EQ(order, (std::vector<RequestId>{0, 1}));
  EXPECT_EQ(preemptions[0], 0);
  EXPECT_GE(preemptions[1], 1);
  EXPECT_LE(preemptions[1], Scheduler::kMaxPreemptions);
}

// Tiny pools and many long requests: the bound holds, and who reached it is never interrupted
// again.
TEST(Scheduler, NobodyIsPreemptedMoreThanFourTimes) {
  int32_t most = 0;
  for (int32_t num_blocks = 5; num_blocks < 24; ++num_blocks) {
    SchedulerConfig config = small_config();
    config.policy = SchedulerPolicy::kMaxUtilization;
    config.tokens_per_block = 1;
    config.num_blocks = num_blocks;
    Scheduler scheduler(config);
    for (RequestId id = 0; id < 30; ++id) {
      scheduler.add(request(id, 1 + static_cast<int32_t>(id % 3), num_blocks - 3));
    }
    size_t finished = 0;
    while (scheduler.has_work()) {
      if (const auto step = scheduler.schedule()) scheduler.commit(result_of(*step));
      scheduler.check_invariants();
      for (const SchedulerEvent& event : scheduler.take_events()) {
        if (!event.finished) continue;
        ++finished;
        most = std::max(most, event.preemptions);
      }
    }
    EXPECT_EQ(finished, 30u);
  }
  EXPECT_LE(most, Scheduler::kMaxPreemptions);
  EXPECT_EQ(most, Scheduler::kMaxPreemptions) << "the test no longer reaches the bound";
}

TEST(Scheduler, ABigRequestIsBypassedAtMost64Times) {
  for (const auto policy :
       {SchedulerPolicy::kGuaranteedNoEvict, SchedulerPolicy::kMaxUtilization}) {
    SchedulerConfig config = small_config();
    config.policy = policy;
    Scheduler scheduler(config);
    for (RequestId id = 0; id < 8; ++id) scheduler.add(request(id, 8, 8));
    scheduler.commit(result_of(*scheduler.schedule()));
    scheduler.add(request(100, 60, 4));  // half the pool
    RequestId next = 1000;
    int64_t before = -1, started = -1;
    while (started < 0 && next < 3000) {
      // Small ones keep coming, so that the pool never drains by itself.
      for (int i = 0; i < 4; ++i) scheduler.add(request(next++, 8, 8));
      if (before < 0) before = scheduler.statistics().admissions;
      const auto step = scheduler.schedule();
      ASSERT_TRUE(step);
      for (const StepSequence& part : step->sequences) {
        if (part.sampling->max_tokens == 4) started = scheduler.statistics().admissions;
      }
      scheduler.commit(result_of(*step));
      scheduler.check_invariants();
    }
    ASSERT_GE(started, 0);
    // Those that the eight before it needed are not bypasses.
    EXPECT_LE(started - before, Scheduler::kMaxBypasses + 8 + 1);
    drain(scheduler);
  }
}

// Many are admitted in one step: the count stops in its middle.
TEST(Scheduler, TheBypassLimitHoldsWithinAStep) {
  SchedulerConfig config = small_config();
  config.max_batch_size = config.max_num_tokens = 100;
  config.num_blocks = 111;
  config.max_seq_len = 404;
  Scheduler scheduler(config);
  scheduler.add(request(0, 4, 40));   // takes 11 blocks
  scheduler.add(request(1, 400, 4));  // needs 101 of the 100 that are left
  for (RequestId id = 2; id < 100; ++id) scheduler.add(request(id, 1, 3));
  ASSERT_TRUE(scheduler.schedule());
  EXPECT_EQ(scheduler.statistics().admissions, 1 + Scheduler::kMaxBypasses);
  scheduler.check_invariants();
}

TEST(Scheduler, ReusedPrefixesAreSkippedAndShared) {
  SchedulerConfig config = small_config();
  config.enable_block_reuse = true;
  Scheduler scheduler(config);
  scheduler.add(request(0, 12, 8));
  Step step = *scheduler.schedule();
  const std::vector<int32_t> blocks = step.sequences[0].blocks;
  scheduler.commit(result_of(step));
  // A prompt of exactly three blocks: two are shared, the last is computed for its logits.
  scheduler.add(request(1, 12, 8));
  step = *scheduler.schedule();
  ASSERT_EQ(step.sequences.size(), 2u);
  EXPECT_EQ(step.sequences[1].first_position, 8);
  EXPECT_EQ(step.sequences[1].num_tokens, 4);
  EXPECT_EQ(step.sequences[1].blocks[0], blocks[0]);
  EXPECT_EQ(step.sequences[1].blocks[1], blocks[1]);
  EXPECT_NE(step.sequences[1].blocks[2], blocks[2]);
  EXPECT_EQ(scheduler.blocks().references(blocks[0]), 2);
  scheduler.commit(result_of(step));
  scheduler.finish(0, FinishReason::kAbort);  // one branch goes
  EXPECT_EQ(scheduler.blocks().references(blocks[0]), 1);
  drain(scheduler);
}

TEST(Scheduler, SaltsAreNotShared) {
  SchedulerConfig config = small_config();
  config.enable_block_reuse = true;
  for (const uint64_t first : {0, 5}) {
    for (const uint64_t second : {0, 5}) {
      Scheduler scheduler(config);
      SchedulerRequest one = request(0, 12, 2), two = request(1, 12, 2);
      one.cache_salt = first;
      two.cache_salt = second;
      scheduler.add(std::move(one));
      drain(scheduler);
      scheduler.add(std::move(two));
      EXPECT_EQ(scheduler.schedule()->sequences[0].first_position, first == second ? 8 : 0);
    }
  }
}

TEST(Scheduler, HistoryComesOnceWithTheSlot) {
  SchedulerConfig config = small_config();
  config.max_num_tokens = 4;
  Scheduler scheduler(config);
  SchedulerRequest penalised = request(0, 6, 3);
  penalised.sampling.frequency_penalty = 1;
  scheduler.add(std::move(penalised));
  std::vector<size_t> sizes;
  while (scheduler.has_work()) {
    const Step step = *scheduler.schedule();
    sizes.push_back(step.sequences[0].history.size());
    scheduler.commit(result_of(step));
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{6, 0, 0, 0}));
}

}  // namespace
}  // namespace octavo

// Results: ends found late, aborts in every state, broken logits, stalls, wrong results.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "runtime/scheduler.h"

namespace octavo {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kEos = 0;

SchedulerConfig small_config(int32_t depth) {
  return {.policy = SchedulerPolicy::kMaxUtilization,
          .max_batch_size = 4,
          .max_num_tokens = 8,
          .max_seq_len = 64,
          .tokens_per_block = 4,
          .num_blocks = 16,
          .depth = depth};
}

SchedulerRequest request(RequestId id, int32_t prompt, int64_t max_tokens) {
  SchedulerRequest request{.id = id,
                           .prompt = std::vector<int32_t>(static_cast<size_t>(prompt), 3)};
  request.sampling.max_tokens = max_tokens;
  request.sampling.stop_token_ids = {kEos};
  return request;
}

StepResult result_of(const Step& step, int32_t token = 1) {
  StepResult result{.id = step.id};
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.sample) result.tokens.push_back({.token = token});
  }
  return result;
}

int count_finished(Scheduler& scheduler) {
  int finished = 0;
  for (const SchedulerEvent& event : scheduler.take_events())
    finished += event.finished.has_value();
  return finished;
}

TEST(SchedulerCommit, RunsAheadOnLengths) {
  for (const int32_t depth : {0, 1, 2}) {
    Scheduler scheduler(small_config(depth));
    scheduler.add(request(0, 3, 10));
    std::vector<Step> steps;
    while (auto step = scheduler.schedule()) steps.push_back(std::move(*step));
    ASSERT_EQ(steps.size(), static_cast<size_t>(depth) + 1);
    for (size_t i = 1; i < steps.size(); ++i) {
      EXPECT_TRUE(steps[i].sequences[0].tokens.empty());
      EXPECT_EQ(steps[i].sequences[0].first_position, 2 + static_cast<int32_t>(i));
      EXPECT_EQ(steps[i].sequences[0].output_index, static_cast<int64_t>(i));
    }
  }
}

TEST(SchedulerCommit, AnEndFoundLateLosesTheLaterTokenAndKeepsTheBlocks) {
  Scheduler scheduler(small_config(2));
  scheduler.add(request(0, 3, 10));
  std::vector<Step> steps;
  while (auto step = scheduler.schedule()) steps.push_back(std::move(*step));
  scheduler.commit(result_of(steps[0], kEos));
  const auto events = scheduler.take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].token->token, kEos);
  EXPECT_EQ(events[1].finished, FinishReason::kStop);
  for (int i = 1; i <= 2; ++i) {
    EXPECT_GT(scheduler.blocks().num_used(), 0);
    scheduler.check_invariants();
    scheduler.commit(result_of(steps[static_cast<size_t>(i)]));
    EXPECT_TRUE(scheduler.take_events().empty());
  }
  EXPECT_EQ(scheduler.blocks().num_used(), 0);
  EXPECT_FALSE(scheduler.has_work());
}

TEST(SchedulerCommit, NothingIsScheduledBeyondMaxTokens) {
  Scheduler scheduler(small_config(2));
  scheduler.add(request(0, 3, 2));
  std::vector<Step> steps;
  while (auto step = scheduler.schedule()) steps.push_back(std::move(*step));
  EXPECT_EQ(steps.size(), 2u);
  scheduler.check_invariants();
  for (const Step& step : steps) scheduler.commit(result_of(step));
  const auto events = scheduler.take_events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].finished, FinishReason::kLength);
  EXPECT_FALSE(scheduler.has_work());
}

TEST(SchedulerCommit, EndIdsCountFromMinTokens) {
  Scheduler scheduler(small_config(0));
  SchedulerRequest patient = request(0, 3, 10);
  patient.sampling.min_tokens = 2;
  scheduler.add(std::move(patient));
  int tokens = 0;
  while (scheduler.has_work()) {
    scheduler.commit(result_of(*scheduler.schedule(), kEos));
    ++tokens;
  }
  EXPECT_EQ(tokens, 3);
}

TEST(SchedulerCommit, AbortsInEveryState) {
  // Of one request, after `steps` launches of which `commits` are committed; 20 prompt tokens are
  // three chunks, so that this covers waiting, prefilling, decoding, draining and finished.
  for (int32_t depth = 0; depth <= 2; ++depth) {
    for (int launches = 0; launches <= 8; ++launches) {
      for (int commits = std::max(0, launches - depth - 1); commits <= launches; ++commits) {
        SCOPED_TRACE(fmt::format("depth {} launches {} commits {}", depth, launches, commits));
        Scheduler scheduler(small_config(depth));
        scheduler.add(request(0, 20, 4));
        std::vector<Step> steps;
        int committed = 0;
        while (static_cast<int>(steps.size()) < launches) {
          auto step = scheduler.schedule();
          if (step) {
            steps.push_back(std::move(*step));
          } else if (committed < static_cast<int>(steps.size())) {
            scheduler.commit(result_of(steps[static_cast<size_t>(committed++)]));
          } else {
            break;
          }
        }
        while (committed < commits && committed < static_cast<int>(steps.size())) {
          scheduler.commit(result_of(steps[static_cast<size_t>(committed++)]));
        }
        const int before = count_finished(scheduler);
        scheduler.finish(0, FinishReason::kAbort);
        scheduler.finish(0, FinishReason::kAbort);  // a second time changes nothing
        scheduler.check_invariants();
        while (committed < static_cast<int>(steps.size())) {
          scheduler.commit(result_of(steps[static_cast<size_t>(committed++)]));
          scheduler.check_invariants();
        }
        EXPECT_EQ(before + count_finished(scheduler), 1);
        EXPECT_EQ(scheduler.blocks().num_used(), 0);
        EXPECT_FALSE(scheduler.has_work());
      }
    }
  }
}

TEST(SchedulerCommit, AbortsWhilePreempted) {
  for (const bool in_flight : {false, true}) {
    SchedulerConfig config = small_config(in_flight ? 1 : 0);
    config.num_blocks = 4;
    config.enable_block_reuse = false;
    Scheduler scheduler(config);
    scheduler.add(request(0, 4, 9));
    scheduler.add(request(1, 4, 9));
    std::deque<Step> steps;
    while (scheduler.statistics().preemptions == 0) {
      if (auto step = scheduler.schedule()) {
        steps.push_back(std::move(*step));
      } else {
        scheduler.commit(result_of(steps.front()));
        steps.pop_front();
      }
    }
    scheduler.check_invariants();
    scheduler.finish(1, FinishReason::kAbort);
    scheduler.check_invariants();
    while (scheduler.has_work()) {
      if (auto step = scheduler.schedule()) steps.push_back(std::move(*step));
      scheduler.commit(result_of(steps.front()));
      steps.pop_front();
      scheduler.check_invariants();
    }
    EXPECT_EQ(count_finished(scheduler), 2);
    EXPECT_EQ(scheduler.blocks().num_used(), 0);
  }
}

// What a preempted sequence still holds is counted on: nobody else is preempted for the same need.
TEST(SchedulerCommit, WaitsForBlocksThatAreAboutToReturn) {
  SchedulerConfig config = small_config(2);
  config.num_blocks = 6;
  config.max_num_tokens = 12;  // all three start together
  config.enable_block_reuse = false;
  Scheduler scheduler(config);
  for (RequestId id = 0; id < 3; ++id) scheduler.add(request(id, 4, 9));
  std::deque<Step> steps;
  while (scheduler.statistics().preemptions == 0) {
    if (auto step = scheduler.schedule()) {
      steps.push_back(std::move(*step));
    } else {
      ASSERT_FALSE(steps.empty());
      scheduler.commit(result_of(steps.front()));
      steps.pop_front();
    }
  }
  // Two need a block at once, and the youngest returns two.
  EXPECT_EQ(scheduler.statistics().preemptions, 1);
  EXPECT_EQ(scheduler.statistics().waiting, 1);
  scheduler.check_invariants();
}

TEST(SchedulerCommit, BrokenLogitsFailOneRequestAndLeaveTheCache) {
  Scheduler scheduler(small_config(0));
  scheduler.add(request(0, 4, 4));
  scheduler.add(request(1, 3, 4));
  StepResult result = result_of(*scheduler.schedule());
  scheduler.commit(result);
  EXPECT_EQ(scheduler.blocks().counters().published, 1);
  result = result_of(*scheduler.schedule());
  result.tokens[0].numerical_error = true;
  scheduler.take_events();
  scheduler.commit(result);
  const auto events = scheduler.take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].id, 0);
  EXPECT_EQ(events[0].finished, FinishReason::kError);
  EXPECT_THAT(events[0].message, HasSubstr("numerical_error"));
  EXPECT_EQ(events[1].id, 1);
  EXPECT_TRUE(events[1].token);
  EXPECT_EQ(scheduler.blocks().num_cached(), 0);  // its prefix is not offered to anybody
  scheduler.check_invariants();
}

TEST(SchedulerCommit, AStallFailsTheOldestAndGoesOn) {
  Scheduler scheduler(small_config(0));
  std::vector<int32_t> lost;  // blocks that a bug would have leaked
  while (scheduler.blocks().num_available() > 1) lost.push_back(scheduler.blocks().allocate(-1));
  scheduler.add(request(0, 8, 4));
  scheduler.add(request(1, 9, 4));
  int calls = 0;
  while (scheduler.statistics().stalls == 0 && calls < 5000) {
    EXPECT_FALSE(scheduler.schedule());
    ++calls;
  }
  EXPECT_EQ(calls, Scheduler::kMaxIdleCalls);
  const auto events = scheduler.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, 0);
  EXPECT_EQ(events[0].finished, FinishReason::kError);
  EXPECT_THAT(events[0].message, HasSubstr("stalled"));
  EXPECT_THAT(events[0].message, HasSubstr("15 used"));
  // The next one takes as long again.
  for (calls = 0; scheduler.statistics().stalls == 1 && calls < 5000; ++calls) scheduler.schedule();
  EXPECT_EQ(calls, Scheduler::kMaxIdleCalls);
  EXPECT_EQ(count_finished(scheduler), 1);
  scheduler.add(request(2, 8, 4));
  scheduler.blocks().release(lost, -1);
  while (scheduler.has_work()) scheduler.commit(result_of(*scheduler.schedule()));
  EXPECT_EQ(count_finished(scheduler), 1);
}

TEST(SchedulerCommit, WrongResultsAreInternalErrors) {
  Scheduler scheduler(small_config(1));
  EXPECT_THROW(scheduler.commit({.id = 0}), Error);
  scheduler.add(request(0, 4, 4));
  const Step first = *scheduler.schedule();
  const Step second = *scheduler.schedule();
  EXPECT_THROW(scheduler.commit(result_of(second)), Error);
  EXPECT_THROW(scheduler.commit({.id = first.id}), Error);
  scheduler.commit(result_of(first));
  scheduler.commit(result_of(second));
  scheduler.check_invariants();
}

}  // namespace
}  // namespace octavo

// Calls between ranks measured on all of them: order, one measurement a problem, an end where one
// fails.
// SPDX-License-Identifier: Apache-2.0
#include "builder/group_timer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "comm/local.h"
#include "core/error.h"
#include "core/host_device.h"

namespace octavo {
namespace {

std::atomic<int> calls{0};

void meet(const Operands& operands, const LaunchContext& context) {
  ++calls;
  context.comm->all_reduce(operands.inputs[0], operands.outputs[0]);
  if (context.tactic == "slow") std::this_thread::sleep_for(std::chrono::microseconds(400));
}
void fail_on_one(const Operands& operands, const LaunchContext& context) {
  if (context.comm->place().rank == 1) throw Error(ErrorCategory::kUnsupported, "no way");
  context.comm->all_reduce(operands.inputs[0], operands.outputs[0]);
}
std::vector<std::string> two_ways(const Problem&) { return {"slow", "quick"}; }
Verdict any(const Problem&) { return Verdict::yes(); }

const Kernel kMeeting = {"meeting", Op::kAllReduceAddRmsNorm, {}, any, nullptr, meet, two_ways};
const Kernel kFailing = {"failing", Op::kAllReduceAddRmsNorm, {}, any, nullptr, fail_on_one};

Problem sum_of(int64_t rows) {
  Problem problem{.op = Op::kAllReduceAddRmsNorm, .params = ReduceNormParams{.ranks = 2}};
  const Problem::Operand matrix{{rows, 8}, DType::kF32, true};
  problem.inputs = {matrix, matrix, {{8}, DType::kF32, true}, {}};
  problem.outputs = {matrix, matrix};
  return problem;
}

class GroupTimerTest : public testing::Test {
 protected:
  GroupTimerTest() {
    calls = 0;
    std::vector<GroupTimer::Rank> ranks;
    for (int64_t rank = 0; rank < 2; ++rank) {
      ranks.push_back(
          {std::make_shared<HostDevice>(pool_), {std::shared_ptr<void>(), &group_.member(rank)}});
    }
    timer_ = std::make_unique<GroupTimer>(std::move(ranks));
  }

  ThreadPool pool_{1};
  LocalGroup group_{2, 1, {.stall_limit = std::chrono::milliseconds(500)}};
  std::unique_ptr<GroupTimer> timer_;
};

TEST_F(GroupTimerTest, MeasuresEveryTacticOnAllRanksOnce) {
  const Kernel* const candidates[] = {&kMeeting};
  const std::vector<KernelTime>& times = timer_->time(sum_of(4), candidates);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].tactic, "quick");
  EXPECT_EQ(times[1].tactic, "slow");
  EXPECT_GE(times[1].us, 400);
  EXPECT_LT(times[0].us, times[1].us);
  const int before = calls;
  EXPECT_EQ(&timer_->time(sum_of(4), candidates), &times);
  EXPECT_EQ(calls, before);
  timer_->time(sum_of(5), candidates);
  EXPECT_GT(calls, before);
}

TEST_F(GroupTimerTest, ARankThatFailsIsWhatTheOthersEndWith) {
  const Kernel* const candidates[] = {&kFailing};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(timer_->time(sum_of(4), candidates), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(GroupTimerTest, SumsWithANormAndGathersOfRowsAreMeasured) {
  EXPECT_TRUE(GroupTimer::measures(sum_of(4)));
  Problem gather{.op = Op::kAllGather, .params = GroupParams{.ranks = 2, .by_rows = true}};
  EXPECT_TRUE(GroupTimer::measures(gather));
  gather.params = GroupParams{.ranks = 2};
  EXPECT_FALSE(GroupTimer::measures(gather));
  EXPECT_FALSE(GroupTimer::measures({.op = Op::kLinear}));
}

}  // namespace
}  // namespace octavo

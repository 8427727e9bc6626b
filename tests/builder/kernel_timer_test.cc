// Measured kernels: order, what is left out, equal problems measured once.
// SPDX-License-Identifier: Apache-2.0
#include "builder/kernel_timer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/host_device.h"

namespace octavo {
namespace {

int calls = 0;

template <int kMicroseconds>
void pause(const Operands& operands, const LaunchContext&) {
  ++calls;
  EXPECT_EQ(operands.inputs.size(), 5u);
  EXPECT_TRUE(operands.inputs[1].defined());
  EXPECT_FALSE(operands.inputs[4].defined());
  std::this_thread::sleep_for(std::chrono::microseconds(kMicroseconds));
}
void refuse(const Operands&, const LaunchContext&) {
  throw Error(ErrorCategory::kUnsupported, "no algorithm");
}
void fail(const Operands&, const LaunchContext&) { throw Error(ErrorCategory::kDevice, "lost"); }
Verdict any(const Problem&) { return Verdict::yes(); }

const Kernel kSlow = {"slow", Op::kLinear, {}, any, nullptr, pause<400>};
const Kernel kQuick = {"quick", Op::kLinear, {}, any, nullptr, pause<20>};
const Kernel kRefusing = {"refusing", Op::kLinear, {}, any, nullptr, refuse};
const Kernel kFailing = {"failing", Op::kLinear, {}, any, nullptr, fail};
const Kernel kFallback = {"fallback", Op::kLinear, {.fallback = true}, any, nullptr, pause<0>};

std::vector<std::string> two_tactics(const Problem&) { return {"slow", "quick"}; }
void pause_by_tactic(const Operands&, const LaunchContext& context) {
  std::this_thread::sleep_for(std::chrono::microseconds(context.tactic == "quick" ? 20 : 400));
}
const Kernel kTunable = {"tunable", Op::kLinear, {}, any, nullptr, pause_by_tactic, two_tactics};

int joined = 0, alone = 0;
void count_launches(const Operands&, const LaunchContext& context) {
  ++(context.programmatic_launch ? joined : alone);
}
const Kernel kJoining = {"joining", Op::kLinear, {.programmatic = true},
                         any,       nullptr,     count_launches};
const Kernel kSeparate = {"separate", Op::kLinear, {}, any, nullptr, count_launches};

Problem linear(int64_t rows) {
  Problem problem{.op = Op::kLinear, .params = LinearParams{{32, 32}}};
  problem.inputs = {{{rows, 16}, DType::kE4M3, true},
                    {{64, 16}, DType::kE4M3, true},
                    {{1}, DType::kF32, true},
                    {{2}, DType::kF32, true},
                    {}};
  problem.outputs = {{{rows, 64}, DType::kBF16, true}};
  return problem;
}

// Experts' rows as a kernel finds them.
std::vector<int32_t> seen_offsets;
void see_offsets(const Operands& operands, const LaunchContext&) {
  const TensorView& offsets = operands.inputs[4];
  seen_offsets.assign(offsets.as<int32_t>(), offsets.as<int32_t>() + offsets.rows());
}
const Kernel kOfExperts = {"of_experts", Op::kGroupedLinear, {}, any, nullptr, see_offsets};

Problem grouped_linear(int64_t rows) {
  Problem problem{.op = Op::kGroupedLinear, .params = LinearParams{}};
  problem.inputs = {{{rows, 16}, DType::kBF16, true},
                    {{4, 64, 16}, DType::kBF16, true},
                    {},
                    {},
                    {{5}, DType::kI32, true}};
  problem.outputs = {{{rows, 64}, DType::kBF16, true}};
  return problem;
}

class KernelTimerTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  HostDevice device_{pool_, /*graphs=*/true};
  KernelTimer timer_{device_};
};

TEST_F(KernelTimerTest, TheFastestComesFirst) {
  const Kernel* candidates[] = {&kSlow, &kRefusing, &kQuick, &kFallback};
  const std::vector<KernelTime>& times = timer_.time(linear(3), candidates);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].kernel, &kQuick);
  EXPECT_EQ(times[1].kernel, &kSlow);
  EXPECT_GE(times[0].us, 20);
  EXPECT_GE(times[1].us, 400);
}

TEST_F(KernelTimerTest, EqualProblemsAreMeasuredOnce) {
  const Kernel* candidates[] = {&kQuick};
  timer_.time(linear(3), candidates);
  const int before = calls;
  timer_.time(linear(3), candidates);
  EXPECT_EQ(calls, before);
  timer_.time(linear(4), candidates);
  EXPECT_GT(calls, before);
}

TEST_F(KernelTimerTest, EveryTacticIsMeasured) {
  const Kernel* candidates[] = {&kTunable};
  const std::vector<KernelTime>& times = timer_.time(linear(5), candidates);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].tactic, "quick");
  EXPECT_EQ(times[1].tactic, "slow");
}

TEST_F(KernelTimerTest, KernelsAreJoinedAsInAStep) {
  const Kernel* candidates[] = {&kJoining};
  timer_.time(linear(6), candidates);
  EXPECT_GT(joined, 0);
  EXPECT_GT(alone, 0);  // the first of a graph
  joined = 0;
  const Kernel* separate[] = {&kSeparate};
  timer_.time(linear(7), separate);
  EXPECT_EQ(joined, 0);
}

// Indices that a step could have, in calls that take turns between caches.
std::set<const std::byte*> caches;
void look_at_step(const Operands& operands, const LaunchContext&) {
  EXPECT_EQ(operands.outputs[0].shape[0], 4);
  EXPECT_EQ(operands.inputs[9].as<const int32_t>()[3], 3);
  EXPECT_EQ(operands.inputs[8].as<const int32_t>()[1], 32);
  EXPECT_EQ(operands.inputs[5].as<const int64_t>()[1], 63);
  EXPECT_NE(operands.outputs[0].data, operands.outputs[1].data);
  caches.insert(operands.outputs[0].data);
}
const Kernel kLooking = {"looking", Op::kRopeAttention, {}, any, nullptr, look_at_step};

TEST_F(KernelTimerTest, AttentionGetsAStep) {
  Problem problem{.op = Op::kRopeAttention,
                  .params = AttentionParams{.num_heads = 2, .num_kv_heads = 1, .head_dim = 8}};
  const Problem::Operand q{{2, 16}, DType::kBF16, true}, kv{{2, 8}, DType::kBF16, true};
  const Problem::Operand cache{{1, 1, 16, 8}, DType::kBF16, true}, index{{2}, DType::kI32, true};
  problem.inputs = {q,
                    kv,
                    kv,
                    index,
                    {{4}, DType::kF32, true},
                    {{2}, DType::kI64, true},
                    index,
                    index,
                    index,
                    {{2, 2}, DType::kI32, true},
                    {},
                    {},
                    {}};
  problem.outputs = {cache, cache, q};
  const Kernel* candidates[] = {&kLooking};
  const std::vector<KernelTime>& times = timer_.time(problem, candidates);
  ASSERT_EQ(times.size(), 1u);
  EXPECT_GE(caches.size(), 1u);
  EXPECT_TRUE(KernelTimer::measures(problem));
  EXPECT_EQ(floor_us(problem, device_.properties()), 0);
  EXPECT_TRUE(to_string(problem).ends_with(" window 0"));
}

// Of a norm with a linear behind it, the linear's weight is cold.
std::set<const std::byte*> weights, norm_weights;
void look_at_weights(const Operands& operands, const LaunchContext&) {
  norm_weights.insert(operands.inputs[2].data);
  weights.insert(operands.inputs[3].data);
}
const Kernel kNormed = {"normed", Op::kAddRmsNormLinear, {}, any, nullptr, look_at_weights};

TEST_F(KernelTimerTest, ANormedLinearReadsItsWeightFromMemory) {
  Problem problem{.op = Op::kAddRmsNormLinear,
                  .params = NormLinearParams{.segment_rows = {32, 32}}};
  const Problem::Operand rows{{2, 16}, DType::kBF16, true}, scale{{1}, DType::kF32, true};
  problem.inputs = {
      rows, rows, {{16}, DType::kBF16, true}, {{64, 16}, DType::kE4M3, true}, scale, scale, {}, {}};
  problem.outputs = {rows, {{2, 64}, DType::kBF16, true}};
  const Kernel* candidates[] = {&kNormed};
  EXPECT_EQ(timer_.time(problem, candidates).size(), 1u);
  EXPECT_EQ(norm_weights.size(), 1u);
  EXPECT_GE(weights.size(), 1u);
  EXPECT_FALSE(weights.contains(*norm_weights.begin()));
  EXPECT_TRUE(to_string(problem).ends_with(" segments [32, 32]"));
  // As a linear of codes, but for what a norm reads and writes more.
  DeviceProperties device;
  device.bytes_per_s = 1e12;
  const double bytes = 3 * 64 + 32 + 64 * 16 + 8 + 256;
  EXPECT_DOUBLE_EQ(floor_us(problem, device), bytes * 1e-6);
}

TEST_F(KernelTimerTest, ADeviceErrorIsNotSwallowed) {
  const Kernel* candidates[] = {&kFailing};
  EXPECT_THROW(timer_.time(linear(1), candidates), Error);
}

TEST_F(KernelTimerTest, NamesTheProblem) {
  EXPECT_EQ(to_string(linear(3)),
            "linear float8_e4m3[3, 16] float8_e4m3[64, 16] float32[1] float32[2] - -> "
            "bfloat16[3, 64] segments [32, 32]");
  EXPECT_TRUE(KernelTimer::measures(linear(1)));
  EXPECT_FALSE(KernelTimer::measures({.op = Op::kAdd}));
}

TEST(FloorUs, CountsBothRowsOfAByteOfFourBitCodes) {
  Problem problem = linear(3);
  problem.inputs[0].dtype = DType::kBF16;
  problem.inputs[1].dtype = DType::kI4x2;
  const DeviceProperties products{.bytes_per_s = 1e12, .fp8_flop_per_s = 2e6};
  EXPECT_DOUBLE_EQ(floor_us(problem, products), 2.0 * 3 * 128 * 16);  // half that rate in 16 bits
  const DeviceProperties memory{.bytes_per_s = 1e6, .fp8_flop_per_s = 1e12};
  EXPECT_DOUBLE_EQ(floor_us(problem, memory), 3 * 16 * 2 + 64 * 16 + 4 + 2 * 4 + 3 * 64 * 2);
}

TEST_F(KernelTimerTest, RowsFallToExpertsEvenly) {
  const Kernel* candidates[] = {&kOfExperts};
  EXPECT_TRUE(KernelTimer::measures(grouped_linear(10)));
  ASSERT_EQ(timer_.time(grouped_linear(10), candidates).size(), 1u);
  EXPECT_EQ(seen_offsets, (std::vector<int32_t>{0, 2, 5, 7, 10}));
  Problem fused = grouped_linear(6);
  fused.op = Op::kGroupedLinearSwiglu;
  fused.inputs.push_back({{4}, DType::kF32, true});
  EXPECT_TRUE(KernelTimer::measures(fused));
  timer_.time(fused, candidates);
  EXPECT_EQ(seen_offsets, (std::vector<int32_t>{0, 1, 3, 4, 6}));
  timer_.time(grouped_linear(2), candidates);
  EXPECT_EQ(seen_offsets, (std::vector<int32_t>{0, 0, 1, 1, 2}));
}

// Two rows read two of four experts; many rows are bound by the products of all.
TEST(FloorUs, CountsTheExpertsThatHaveRows) {
  DeviceProperties device;
  device.bytes_per_s = 1e6;  // a byte a microsecond
  const double others = 5 * 4 + 2 * 16 * 2 + 2 * 64 * 2;
  EXPECT_DOUBLE_EQ(floor_us(grouped_linear(2), device), 2 * 64 * 16 * 2 + others);
  device.bytes_per_s = 1e12;
  device.fp8_flop_per_s = 2e6;  // of bfloat16 half as many
  EXPECT_DOUBLE_EQ(floor_us(grouped_linear(10), device), 2.0 * 10 * 64 * 16);
}

}  // namespace
}  // namespace octavo

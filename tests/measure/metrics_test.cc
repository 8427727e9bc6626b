// Metrics: definitions, percentiles by index, degenerate runs, roofline.
// SPDX-License-Identifier: Apache-2.0
#include "measure/metrics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace octavo {
namespace {

TEST(RequestTiming, FollowsTheDefinitions) {
  const RequestTiming timing{
      .output_tokens = 5, .submitted_s = 1, .first_token_s = 1.5, .end_s = 3.5};
  EXPECT_EQ(timing.ttft_s(), 0.5);
  EXPECT_EQ(timing.e2e_s(), 2.5);
  EXPECT_EQ(timing.itl_s(), 0.5);
}

TEST(RequestTiming, OneTokenHasNoInterTokenLatency) {
  EXPECT_EQ(RequestTiming{.output_tokens = 1}.itl_s(), std::nullopt);
}

TEST(Distribution, PercentilesAreSortedElements) {
  std::vector<double> values(1000);
  std::iota(values.rbegin(), values.rend(), 0);  // descending
  const auto result = distribution(values);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->average, 499.5);
  EXPECT_EQ(result->p50, 500);
  EXPECT_EQ(result->p90, 900);
  EXPECT_EQ(result->p95, 950);
  EXPECT_EQ(result->p99, 990);
  EXPECT_EQ(result->min, 0);
  EXPECT_EQ(result->max, 999);
}

TEST(Distribution, SmallCounts) {
  EXPECT_FALSE(distribution({}));
  const auto one = distribution({7});
  EXPECT_EQ(one->p50, 7);
  EXPECT_EQ(one->p99, 7);
  const auto two = distribution({2, 1});
  EXPECT_EQ(two->p50, 2);
  EXPECT_EQ(two->average, 1.5);
}

TEST(Summarize, AveragesOverRequestsNotTokens) {
  const std::vector<RequestTiming> timings = {
      {.output_tokens = 3, .submitted_s = 0, .first_token_s = 1, .end_s = 2},    // ITL 0.5
      {.output_tokens = 5, .submitted_s = 1, .first_token_s = 1.5, .end_s = 8},  // ITL 1.625
      {.output_tokens = 1, .submitted_s = 2, .first_token_s = 4, .end_s = 4}};   // none
  const Performance result = summarize(collect_samples(timings, 8));
  EXPECT_EQ(result.output_tokens, 9);
  EXPECT_EQ(result.requests, 3);
  EXPECT_EQ(result.token_throughput, 9.0 / 8);
  EXPECT_EQ(result.request_throughput, 3.0 / 8);
  EXPECT_DOUBLE_EQ(result.ttft_ms->average, 3500.0 / 3);
  EXPECT_EQ(result.itl_ms->average, 1062.5);
  EXPECT_EQ(result.itl_ms->min, 500);
  EXPECT_EQ(result.e2e_ms->max, 7000);
}

TEST(Summarize, NothingMeasuredIsNotZeroLatency) {
  const Performance result = summarize({});
  EXPECT_EQ(result.token_throughput, 0);
  EXPECT_FALSE(result.ttft_ms);
  EXPECT_FALSE(result.itl_ms);
}

// The published case study: 1000 requests of 2048 tokens in 1291.504 s are 1585.75 tokens/s.
TEST(Summarize, ReproducesThePublishedArithmetic) {
  const Performance result =
      summarize({.output_tokens = 1000 * 2048, .requests = 1000, .total_s = 1291.504});
  EXPECT_NEAR(result.token_throughput, 1585.748, 1e-3);
  EXPECT_NEAR(result.request_throughput, 0.7743, 1e-4);
}

// Llama-3.3-70B at TP4 in FP8: 17.64 GB a device at 4.66 TB/s.
TEST(Roofline, FloorAndShare) {
  const RooflineInput input{.weight_bytes_per_step = 17.64e9,
                            .kv_bytes_per_token = 40960,
                            .context_tokens = 3072,
                            .bandwidth_bytes_per_s = 4.66e12};
  const auto result = roofline(input, 7.624806);
  ASSERT_TRUE(result);
  EXPECT_NEAR(result->itl_floor_ms, 3.8124, 1e-4);
  EXPECT_NEAR(*result->itl_share, 0.5, 1e-5);
  EXPECT_FALSE(roofline(input, std::nullopt)->itl_share);
  EXPECT_FALSE(roofline({.weight_bytes_per_step = 1}, 1.0));
}

}  // namespace
}  // namespace octavo

// Synthetic requests: lengths, ids, reproducibility, refused options.
// SPDX-License-Identifier: Apache-2.0
#include "measure/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"

namespace octavo {
namespace {

SyntheticOptions fixed(int64_t requests, double input, double output) {
  return {.num_requests = requests,
          .input = NormalLengths{.mean = input},
          .output = NormalLengths{.mean = output},
          .vocab_size = 100,
          .seed = 1};
}

TEST(SyntheticRequests, NoSpreadMeansExactLengths) {
  const auto requests = synthetic_requests(fixed(10, 2048, 128));
  ASSERT_EQ(requests.size(), 10u);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].task_id, static_cast<int64_t>(i));
    EXPECT_EQ(requests[i].input_ids.size(), 2048u);
    EXPECT_EQ(requests[i].output_tokens, 128);
  }
}

// Guards the promise that a dataset is the same on every platform.
TEST(SyntheticRequests, TheSequenceIsFixed) {
  auto options = fixed(2, 3, 40);
  options.output = NormalLengths{.mean = 40, .stdev = 10};
  const auto requests = synthetic_requests(options);
  EXPECT_THAT(requests[0].input_ids, testing::ElementsAre(28, 65, 48));
  EXPECT_EQ(requests[0].output_tokens, 38);
  EXPECT_EQ(requests[1].output_tokens, 43);
}

TEST(SyntheticRequests, TheSeedDecides) {
  auto options = fixed(3, 50, 5);
  const auto first = synthetic_requests(options);
  EXPECT_EQ(first[2].input_ids, synthetic_requests(options)[2].input_ids);
  options.seed = 2;
  EXPECT_NE(first[2].input_ids, synthetic_requests(options)[2].input_ids);
}

TEST(SyntheticRequests, NormalLengthsAreAtLeastOne) {
  auto options = fixed(4000, 2, 2);
  options.input = NormalLengths{.mean = 2, .stdev = 3};
  int ones = 0;
  for (const auto& request : synthetic_requests(options)) {
    ASSERT_GE(request.input_ids.size(), 1u);
    ones += request.input_ids.size() == 1 ? 1 : 0;
  }
  // P(x < 1.5) for a mean of 2 and a deviation of 3 is 0.434; five standard errors.
  EXPECT_NEAR(ones / 4000.0, 0.434, 0.04);
}

TEST(SyntheticRequests, UniformLengthsReachBothEnds) {
  auto options = fixed(1000, 1, 1);
  options.input = UniformLengths{.min = 3, .max = 5};
  std::set<size_t> seen;
  for (const auto& request : synthetic_requests(options)) seen.insert(request.input_ids.size());
  EXPECT_THAT(seen, testing::ElementsAre(3, 4, 5));
}

TEST(SyntheticRequests, ExcludedIdsAreNeverDrawn) {
  auto options = fixed(10, 1000, 1);
  options.vocab_size = 8;
  options.excluded_ids = {7, 0, 3, 3, 100, -1};
  std::set<int32_t> seen;
  for (const auto& request : synthetic_requests(options)) {
    seen.insert(request.input_ids.begin(), request.input_ids.end());
  }
  EXPECT_THAT(seen, testing::ElementsAre(1, 2, 4, 5, 6));
}

TEST(FreshRequests, SameLengthsOtherIds) {
  const auto requests = synthetic_requests(fixed(2, 64, 9));
  const auto fresh = fresh_requests(requests, 3, 100, 1);
  ASSERT_EQ(fresh.size(), 3u);
  EXPECT_EQ(fresh[2].input_ids.size(), 64u);
  EXPECT_EQ(fresh[2].output_tokens, 9);
  EXPECT_NE(fresh[0].input_ids, requests[0].input_ids);
  EXPECT_NE(fresh[0].input_ids, fresh[2].input_ids);
  EXPECT_TRUE(fresh_requests(requests, 0, 100, 1).empty());
  EXPECT_TRUE(fresh_requests({}, 3, 100, 1).empty());
}

struct BadCase {
  SyntheticOptions options;
  std::string named;
};

class BadSyntheticOptions : public testing::TestWithParam<BadCase> {};

TEST_P(BadSyntheticOptions, AreRefusedByName) {
  try {
    synthetic_requests(GetParam().options);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUsage);
    EXPECT_THAT(error.what(), testing::StartsWith(GetParam().named));
  }
}

SyntheticOptions with(SyntheticOptions options, LengthDistribution input) {
  options.input = input;
  return options;
}

SyntheticOptions with_vocabulary(int32_t vocab_size, std::vector<int32_t> excluded) {
  SyntheticOptions options = fixed(1, 1, 1);
  options.vocab_size = vocab_size;
  options.excluded_ids = std::move(excluded);
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadSyntheticOptions,
    testing::Values(
        BadCase{fixed(0, 1, 1), "--num-requests"},
        BadCase{fixed(int64_t{1} << 40, 1, 1), "--num-requests"},
        BadCase{fixed(1'000'000, 1'000'000, 1), "--num-requests"},
        BadCase{fixed(1, 0, 1), "--input-mean"}, BadCase{fixed(1, std::nan(""), 1), "--input-mean"},
        BadCase{fixed(1, 1, std::numeric_limits<double>::infinity()), "--output-mean"},
        BadCase{with(fixed(1, 1, 1), NormalLengths{.mean = 1, .stdev = -1}), "--input-stdev"},
        BadCase{with(fixed(1, 1, 1), UniformLengths{.min = 0, .max = 1}), "--input-min"},
        BadCase{with(fixed(1, 1, 1), UniformLengths{.min = 5, .max = 4}), "--input-max"},
        BadCase{with_vocabulary(0, {}), "--tokenizer"},
        BadCase{with_vocabulary(2, {0, 1}), "--tokenizer"}));

}  // namespace
}  // namespace octavo

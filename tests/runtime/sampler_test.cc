// The host sampler against distributions written out by hand, and against broken logits.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"

namespace octavo {
namespace {

using ::testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SampledToken draw_one(const std::vector<float>& logits, const SamplingParams& params,
                      int64_t index = 0, const TokenCounts* counts = nullptr) {
  SamplerScratch scratch;
  return sample_row(logits, params, counts, index, scratch);
}

std::vector<float> log_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

// Draws 20,000 tokens and compares each frequency with its probability, six standard deviations
// wide: a right sampler fails once in about 10^8 runs, and the seeds are fixed.
void expect_distribution(const std::vector<float>& logits, const SamplingParams& params,
                         const std::vector<double>& expected) {
  constexpr int kDraws = 20000;
  std::vector<int> counts(expected.size());
  SamplerScratch scratch;
  for (int i = 0; i < kDraws; ++i) {
    ++counts[static_cast<size_t>(sample_row(logits, params, nullptr, i, scratch).token)];
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const double sigma = std::sqrt(expected[i] * (1 - expected[i]) / kDraws);
    EXPECT_NEAR(counts[i] / double{kDraws}, expected[i], 6 * sigma) << "token " << i;
  }
}

TEST(Sampler, GreedyTakesTheLowestIndexOfTheMaximum) {
  EXPECT_EQ(draw_one({1, 5, 3, 5}, {}).token, 1);
  EXPECT_EQ(draw_one({-3, -1, -2}, {}).token, 1);
  EXPECT_EQ(draw_one({-0.0f, 0.0f}, {}).token, 0);
  std::vector<float> logits(1000, 2);
  EXPECT_EQ(draw_one(logits, {}).token, 0);
  logits[999] = 3;
  EXPECT_EQ(draw_one(logits, {}).token, 999);
  EXPECT_EQ(draw_one({7}, {}).token, 0);
}

TEST(Sampler, BrokenLogitsAreNumericalErrors) {
  for (const SamplingParams& params : {SamplingParams{}, SamplingParams{.temperature = 1}}) {
    for (size_t place : {0u, 17u, 39u}) {
      std::vector<float> logits(40, 1);
      logits[place] = kNan;
      EXPECT_TRUE(draw_one(logits, params).numerical_error);
      logits[place] = -kNan;
      EXPECT_TRUE(draw_one(logits, params).numerical_error);
      logits[place] = kInf;
      EXPECT_TRUE(draw_one(logits, params).numerical_error);
      logits[place] = -kInf;  // a mask
      const SampledToken token = draw_one(logits, params);
      EXPECT_FALSE(token.numerical_error);
      EXPECT_NE(token.token, static_cast<int32_t>(place));
    }
    EXPECT_TRUE(draw_one({-kInf, -kInf}, params).numerical_error);
    EXPECT_FALSE(draw_one({0, 0}, params).numerical_error);
  }
}

TEST(Sampler, ExtremeButFiniteLogitsAreFine) {
  const float big = std::numeric_limits<float>::max();
  for (const float temperature : {1e-5f, 1.0f, 2.0f}) {
    EXPECT_EQ(draw_one({-big, big, 0}, {.temperature = temperature}).token, 1);
  }
  EXPECT_EQ(draw_one({1, 2}, {.temperature = 1e-30f}).token, 1);
  TokenCounts counts{{0, {.in_output = 1}}, {1, {.in_output = 1}}};
  const SamplingParams tiny{.repetition_penalty = 1e-30f};
  EXPECT_FALSE(draw_one({big, 1, -big}, tiny, 0, &counts).numerical_error);
}

TEST(Sampler, DrawsTheSoftmax) {
  const std::vector<double> p = {0.1, 0.2, 0.3, 0.4};
  expect_distribution(log_of(p), {.temperature = 1}, p);
  expect_distribution(log_of(p), {.seed = 9}, p);
  // Temperature 0.5 squares the probabilities.
  expect_distribution(log_of(p), {.temperature = 0.5f}, {0.01 / 0.3, 0.04 / 0.3, 0.3, 0.16 / 0.3});
}

TEST(Sampler, TopKKeepsTheLikeliestAndBreaksTiesByIndex) {
  expect_distribution(log_of({0.1, 0.2, 0.3, 0.4}), {.top_k = 2}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(log_of({0.2, 0.2, 0.2, 0.4}), {.top_k = 2}, {1 / 3.0, 0, 0, 2 / 3.0});
  expect_distribution(log_of({0.5, 0.5}), {.top_k = 0}, {0.5, 0.5});
  expect_distribution(log_of({0.5, 0.5}), {.top_k = 2}, {0.5, 0.5});
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  expect_distribution(log_of({0.1, 0.2, 0.3, 0.4}), {.top_p = 0.65f}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(log_of({0.1, 0.2, 0.3, 0.4}), {.top_p = 0.75f},
                      {0, 2 / 9.0, 3 / 9.0, 4 / 9.0});
  expect_distribution(log_of({0.1, 0.9}), {.top_p = 1e-6f}, {0, 1});
  // top_p applies to what top_k left: 3/7 and 4/7.
  expect_distribution(log_of({0.1, 0.2, 0.3, 0.4}), {.top_p = 0.5f, .top_k = 2}, {0, 0, 0, 1});
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
  expect_distribution(log_of({0.1, 0.2, 0.3, 0.4}), {.min_p = 0.6f}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(log_of({0.1, 0.9}), {.min_p = 1}, {0, 1});
}

// The set that top_k and top_p leave, found by a full sort.
std::vector<int32_t> kept_by_sorting(const std::vector<float>& logits, int32_t top_k,
                                     double top_p) {
  std::vector<std::pair<double, int32_t>> sorted;
  const float largest = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted.emplace_back(-std::exp(logits[i] - largest), static_cast<int32_t>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  if (top_k > 0) sorted.resize(static_cast<size_t>(top_k));
  double sum = 0, reached = 0;
  for (const auto& [weight, id] : sorted) sum -= weight;
  std::vector<int32_t> kept;
  for (const auto& [weight, id] : sorted) {
    kept.push_back(id);
    reached -= weight;
    if (reached >= top_p * sum) break;
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

TEST(Sampler, FiltersAgreeWithASortOfALargeVocabulary) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.7f);
  std::vector<float> logits(3000);
  for (float& x : logits) x = normal(random);
  for (size_t i = 0; i < logits.size(); i += 3) logits[i] = std::round(logits[i]);  // ties
  SamplerScratch scratch;
  for (const int32_t k : {0, 2, 63, 700, 2999}) {
    for (const float p : {1e-3f, 0.3f, 0.9f, 0.999f, 1.0f}) {
      if (k == 0 && p == 1) continue;
      std::vector<int32_t> drawn;
      for (int64_t index = 0; index < 20; ++index) {
        sample_row(logits, {.temperature = 1, .top_p = p, .top_k = k}, nullptr, index, scratch);
      }
      for (size_t i = 0; i < logits.size(); ++i) {
        if (scratch.weights[i] > 0) drawn.push_back(static_cast<int32_t>(i));
      }
      EXPECT_EQ(drawn, kept_by_sorting(logits, k, p)) << "top_k " << k << " top_p " << p;
    }
  }
}

TEST(Sampler, PenaltiesFollowTheirDefinitions) {
  const TokenCounts counts{{0, {.in_output = 3, .in_prompt = true}}, {1, {.in_prompt = true}}};
  // Token 0: 4 / 2 = 2; token 1: 3 / 2; token 2 untouched.
  EXPECT_EQ(draw_one({4, 3, 1.9f}, {.repetition_penalty = 2}, 0, &counts).token, 0);
  EXPECT_EQ(draw_one({4, 3, 2.1f}, {.repetition_penalty = 2}, 0, &counts).token, 2);
  // A negative logit is multiplied.
  EXPECT_EQ(draw_one({-2, -9, -3}, {.repetition_penalty = 2}, 0, &counts).token, 2);
  // Presence counts once, frequency three times, and neither sees the prompt.
  EXPECT_EQ(draw_one({2, 0, 1.1f}, {.presence_penalty = 1}, 0, &counts).token, 2);
  EXPECT_EQ(draw_one({2, 0, 0.9f}, {.presence_penalty = 1}, 0, &counts).token, 0);
  EXPECT_EQ(draw_one({4, 0, 1.1f}, {.frequency_penalty = 1}, 0, &counts).token, 2);
  EXPECT_EQ(draw_one({4, 0, 0.9f}, {.frequency_penalty = 1}, 0, &counts).token, 0);
  EXPECT_EQ(draw_one({0, 2, 1.9f}, {.presence_penalty = 2}, 0, &counts).token, 1);
  EXPECT_EQ(draw_one({-kInf, 1, 0}, {.presence_penalty = -2}, 0, &counts).token, 1);
}

TEST(Sampler, EndIdsAreBannedBeforeMinTokens) {
  const SamplingParams params{.min_tokens = 2, .stop_token_ids = {1}};
  EXPECT_EQ(draw_one({1, 5, 2}, params, 0).token, 2);
  EXPECT_EQ(draw_one({1, 5, 2}, params, 1).token, 2);
  EXPECT_EQ(draw_one({1, 5, 2}, params, 2).token, 1);
  EXPECT_EQ(draw_one({-kInf, 5, -kInf}, params, 0).token, 1);  // nothing else is left
}

TEST(Sampler, TheDrawDependsOnSeedAndIndexAlone) {
  std::vector<float> logits(100, 0);
  SamplerScratch used;
  for (int64_t i = 0; i < 50; ++i) {
    const SamplingParams params{.seed = 3};
    sample_row(std::vector<float>(7, 1), {.top_p = 0.5f, .top_k = 3}, nullptr, i, used);
    EXPECT_EQ(sample_row(logits, params, nullptr, i, used).token,
              draw_one(logits, params, i).token);
  }
  int equal = 0;
  for (int64_t i = 0; i < 200; ++i) {
    equal += draw_one(logits, {.seed = 3}, i).token == draw_one(logits, {.seed = 4}, i).token;
  }
  EXPECT_LT(equal, 20);
}

TEST(Sampler, LogprobsAreThoseOfTheUnmodifiedLogits) {
  const std::vector<double> p = {0.125, 0.5, 0.125, 0.25};
  const TokenCounts counts{{1, {.in_output = 1}}};
  SamplingParams params{.temperature = 0, .presence_penalty = 2};
  params.logprobs = 3;
  const SampledToken token = draw_one(log_of(p), params, 0, &counts);
  EXPECT_EQ(token.token, 3);
  EXPECT_NEAR(token.logprob, std::log(0.25), 1e-5);
  ASSERT_EQ(token.top_logprobs.size(), 3u);
  EXPECT_EQ(token.top_logprobs[0].first, 1);
  EXPECT_EQ(token.top_logprobs[1].first, 3);
  EXPECT_EQ(token.top_logprobs[2].first, 0);  // the tie goes to the lower id
  EXPECT_NEAR(token.top_logprobs[0].second, std::log(0.5), 1e-5);
  params.logprobs = 0;
  EXPECT_TRUE(draw_one(log_of(p), params, 0, &counts).top_logprobs.empty());
  params.logprobs = 1;
  EXPECT_EQ(draw_one({-1, -0.0f, 0.0f}, params).top_logprobs[0].first, 1);
  params.logprobs = 20;
  EXPECT_EQ(draw_one(log_of(p), params).top_logprobs.size(), 4u);
}

TEST(Sampler, SlotsCountTheirOwnTokens) {
  Sampler sampler(/*num_slots=*/2, /*vocab_size=*/3);
  SamplerScratch scratch;
  const SamplingParams params{.presence_penalty = 2};
  const std::vector<float> logits = {3, 2, 0.5f};
  // Prompt {2}, output {0}: token 0 is penalised, the prompt's token is not.
  const StepSequence first{.slot = 1, .sampling = &params, .output_index = 1, .history = {2, 0}};
  sampler.begin(first);
  std::vector<int32_t> tokens = {sampler.sample(first, logits, scratch).token};
  const StepSequence next{.slot = 1, .sampling = &params, .output_index = 2};
  sampler.begin(next);
  tokens.push_back(sampler.sample(next, logits, scratch).token);
  EXPECT_THAT(tokens, ElementsAre(1, 0));  // 3-2, 2, 0.5, then 3-2, 2-2, 0.5
  const StepSequence other{.slot = 0, .sampling = &params, .history = {2}};
  sampler.begin(other);
  EXPECT_EQ(sampler.sample(other, logits, scratch).token, 0);
  // The slot starts anew with a new history.
  const StepSequence again{.slot = 1, .sampling = &params, .history = {2}};
  sampler.begin(again);
  EXPECT_EQ(sampler.sample(again, std::vector{3.0f, 2.0f, 1.5f}, scratch).token, 0);
  EXPECT_EQ(sampler.sample(again, std::vector{0.0f, 2.0f, 1.5f}, scratch).token, 1);
}

TEST(Sampler, RefusesWhatTheSchedulerCannotProduce) {
  Sampler sampler(1, 3);
  SamplerScratch scratch;
  const SamplingParams params{.presence_penalty = 1};
  EXPECT_THROW(sampler.begin({.slot = 1, .sampling = &params, .history = {0}}), Error);
  EXPECT_THROW(sampler.begin({.slot = 0, .sampling = &params, .history = {3}}), Error);
  EXPECT_THROW(sampler.sample({.slot = 0, .sampling = &params}, std::vector<float>(4), scratch),
               Error);
}

}  // namespace
}  // namespace octavo

// The device sampler against the host's: tokens, distributions, log-probabilities.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/sampling/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/cuda/device_sampler.h"
#include "core/error.h"
#include "runtime/counter_random.h"

namespace octavo::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

SampledToken draw_on_host(const std::vector<float>& logits, const SamplingParams& params,
                          int64_t index, const TokenCounts* counts = nullptr) {
  SamplerScratch scratch;
  return sample_row(logits, params, counts, index, scratch);
}

std::vector<float> log_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

TEST(DeviceSampling, ExtremeButFiniteLogitsAreFine) {
  OCTAVO_REQUIRE_DEVICE();
  const float big = std::numeric_limits<float>::max();
  for (const float temperature : {1e-5f, 1.0f, 2.0f})
    EXPECT_EQ(device_draw({-big, big, 0}, {.temperature = temperature}).token, 1);
  EXPECT_EQ(device_draw({1, 2}, {.temperature = 1e-30f}).token, 1);
  const SamplingParams tiny{.repetition_penalty = 1e-30f};
  EXPECT_FALSE(device_draw({big, 1, -big}, tiny, 2, {0, 1}, 2).numerical_error);
}

// Chi-square of 100,000 draws. Its mean is the number of free frequencies f, its standard deviation
// sqrt(2 f): six of them and six more for the skewness of few frequencies. The seeds are fixed.
void expect_distribution(const std::vector<float>& logits, const SamplingParams& params,
                         const std::vector<double>& expected) {
  constexpr int32_t kDraws = 100000;
  const auto vocab_size = static_cast<int32_t>(logits.size());
  DeviceSampler sampler(1, vocab_size);
  std::vector<int32_t> end_ids;
  std::vector<SamplingRow> rows;
  for (int32_t i = 0; i < kDraws; ++i) rows.push_back(row_of(params, 0, i, end_ids));
  std::vector<int> counts(expected.size());
  for (const SampledToken& token : sampler.step(logits, 0, rows, end_ids))
    ++counts[static_cast<size_t>(token.token)];
  double chi_square = 0;
  int free = -1;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i;
      continue;
    }
    const double wanted = expected[i] * kDraws;
    chi_square += (counts[i] - wanted) * (counts[i] - wanted) / wanted;
    ++free;
  }
  EXPECT_LE(chi_square, free + 6 * std::sqrt(2.0 * free) + 6);
}

TEST(DeviceSampling, DrawsTheSoftmax) {
  OCTAVO_REQUIRE_DEVICE();
  const std::vector<double> p = {0.1, 0.2, 0.3, 0.4};
  expect_distribution(log_of(p), {.temperature = 1}, p);
  expect_distribution(log_of(p), {.seed = 9}, p);
  // Temperature 0.5 squares the probabilities.
  expect_distribution(log_of(p), {.temperature = 0.5f}, {0.01 / 0.3, 0.04 / 0.3, 0.3, 0.16 / 0.3});
  std::vector<double> many(1000);
  for (size_t i = 0; i < many.size(); ++i)
    many[i] = static_cast<double>(1 + i % 7) / 3997;  // 142 sevens of 1 … 7, and 1 … 6
  expect_distribution(log_of(many), {.temperature = 1}, many);
}

TEST(DeviceSampling, FiltersLeaveTheirDistributions) {
  OCTAVO_REQUIRE_DEVICE();
  const std::vector<float> four = log_of({0.1, 0.2, 0.3, 0.4});
  expect_distribution(four, {.top_k = 2}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(log_of({0.2, 0.2, 0.2, 0.4}), {.top_k = 2}, {1 / 3.0, 0, 0, 2 / 3.0});
  expect_distribution(log_of({0.5, 0.5}), {.top_k = 0}, {0.5, 0.5});
  expect_distribution(log_of({0.5, 0.5}), {.top_k = 2}, {0.5, 0.5});
  expect_distribution(four, {.top_p = 0.65f}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(four, {.top_p = 0.75f}, {0, 2 / 9.0, 3 / 9.0, 4 / 9.0});
  expect_distribution(log_of({0.1, 0.9}), {.top_p = 1e-6f}, {0, 1});
  expect_distribution(log_of({0.25, 0.25, 0.25, 0.25}), {.top_p = 0.6f},
                      {1 / 3.0, 1 / 3.0, 1 / 3.0, 0});
  // top_p applies to what top_k left: 3/7 and 4/7.
  expect_distribution(four, {.top_p = 0.5f, .top_k = 2}, {0, 0, 0, 1});
  expect_distribution(four, {.min_p = 0.6f}, {0, 0, 3 / 7.0, 4 / 7.0});
  expect_distribution(log_of({0.1, 0.9}), {.min_p = 1}, {0, 1});
}

// Whether the two samplers may cut these weights differently: weights agree to within 3 ulp (2 of
// the device's exponential, under 1 of the host's), so that neighbours nearer than that at top_k,
// or a sum nearer than that to top_p, fall to either side.
bool cut_is_ambiguous(const std::vector<float>& logits, const SamplingParams& params) {
  constexpr double kNear = 8 * 0x1p-23;
  const double temperature = params.temperature.value_or(1);
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const auto weight = [&](size_t i) {
    return std::exp((double{sorted[i]} - double{sorted[0]}) / temperature);
  };
  size_t count = sorted.size();
  const auto k = static_cast<size_t>(params.top_k.value_or(0));
  if (k > 0 && k < count) {
    if (sorted[k - 1] != sorted[k] && weight(k) > weight(k - 1) * (1 - kNear)) return true;
    count = k;
  }
  double sum = 0, reached = 0;
  for (size_t i = 0; i < count; ++i) sum += weight(i);
  for (size_t i = 0; i < count; ++i) {
    reached += weight(i);
    if (*params.top_p < 1 && std::abs(reached - *params.top_p * sum) < kNear * sum) return true;
    if (std::abs(weight(i) - *params.min_p) < kNear * *params.min_p) return true;
  }
  return false;
}

// The host's draw, or a neighbour where the target lies within rounding of the sum between them:
// each of the weights, and so their partial sums, agree to within 3 ulp.
bool same_draw(int32_t token, int32_t host_token, const SamplingParams& params, int64_t index,
               const SamplerScratch& scratch) {
  if (token == host_token) return true;
  constexpr double kNear = 8 * 0x1p-23;
  double sum = 0, before = 0;
  for (const float weight : scratch.weights) sum += weight;
  for (int32_t i = 0; i < token; ++i) before += scratch.weights[static_cast<size_t>(i)];
  const double weight = scratch.weights[static_cast<size_t>(token)];
  const double target =
      sum * counter_uniform(params.seed.value_or(0), static_cast<uint64_t>(index));
  return weight > 0 && target >= before - kNear * sum && target <= before + weight + kNear * sum;
}

struct Agreement {
  int rows = 0;
  int neighbours = 0;
  int skipped = 0;
};

// Rows of all combinations of filters over one row of logits.
void compare_with_host(const std::vector<float>& logits, int draws, Agreement& agreement) {
  const auto vocab_size = static_cast<int32_t>(logits.size());
  std::vector<SamplingParams> all;
  std::vector<int64_t> index;
  std::vector<int32_t> end_ids;
  std::vector<SamplingRow> rows;
  for (const int32_t k : {0, 2, 50, 700, vocab_size - 1}) {
    for (const float p : {1e-3f, 0.3f, 0.9f, 0.999f, 1.0f}) {
      for (const float temperature : {0.3f, 1.0f, 1.7f}) {
        SamplingParams params{.temperature = temperature, .top_p = p};
        params.top_k = std::clamp(k, 0, vocab_size);
        params.min_p = k == 50 ? 0.01f : 0.0f;
        params.seed = static_cast<uint64_t>(k) << 40;
        if (cut_is_ambiguous(logits, params)) {
          ++agreement.skipped;
          continue;
        }
        for (int i = 0; i < draws; ++i) {
          index.push_back(1000 * i + static_cast<int64_t>(p * 500));
          rows.push_back(row_of(params, 0, index.back(), end_ids));
          all.push_back(params);
        }
      }
    }
  }
  SamplerScratch scratch;
  const std::vector<SampledToken> tokens =
      DeviceSampler(1, vocab_size).step(logits, 0, rows, end_ids);
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t host = sample_row(logits, all[i], nullptr, index[i], scratch).token;
    ++agreement.rows;
    agreement.neighbours += tokens[i].token != host;
    EXPECT_TRUE(same_draw(tokens[i].token, host, all[i], index[i], scratch))
        << vocab_size << " tokens, top_k " << *all[i].top_k << " top_p " << *all[i].top_p
        << " temperature " << *all[i].temperature << " index " << index[i] << ": "
        << tokens[i].token << ", host " << host;
  }
}

TEST(DeviceSampling, DrawsWhatTheHostDraws) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(5);
  Agreement agreement;
  for (const int32_t vocab_size : {2, 33, 3000, 8192, 8193, 128256}) {
    for (const bool ties : {false, true}) {
      std::vector<float> logits(static_cast<size_t>(vocab_size));
      std::normal_distribution<float> normal(0, 2.0f);
      for (float& x : logits) x = normal(values.engine());
      for (size_t i = 0; ties && i < logits.size(); i += 3) logits[i] = std::round(logits[i]);
      compare_with_host(logits, vocab_size > 100000 ? 2 : 20, agreement);
    }
  }
  RecordProperty("rows", agreement.rows);
  RecordProperty("neighbours", agreement.neighbours);
  // Most cuts are clear, and hardly any target is within rounding of a partial sum.
  EXPECT_LE(agreement.skipped, 30);
  EXPECT_LE(agreement.neighbours, agreement.rows / 200);
}

TEST(DeviceSampling, PenaltiesFollowTheirDefinitions) {
  OCTAVO_REQUIRE_DEVICE();
  // Token 0 is in the prompt and three times in the output, token 1 in the prompt.
  const auto token = [](const std::vector<float>& logits, const SamplingParams& params) {
    return device_draw(logits, params, 3, {0, 1, 0, 0, 0}, 3).token;
  };
  EXPECT_EQ(token({4, 3, 1.9f}, {.repetition_penalty = 2}), 0);
  EXPECT_EQ(token({4, 3, 2.1f}, {.repetition_penalty = 2}), 2);
  EXPECT_EQ(token({-2, -9, -3}, {.repetition_penalty = 2}), 2);
  EXPECT_EQ(token({2, 0, 1.1f}, {.presence_penalty = 1}), 2);
  EXPECT_EQ(token({2, 0, 0.9f}, {.presence_penalty = 1}), 0);
  EXPECT_EQ(token({4, 0, 1.1f}, {.frequency_penalty = 1}), 2);
  EXPECT_EQ(token({4, 0, 0.9f}, {.frequency_penalty = 1}), 0);
  EXPECT_EQ(token({0, 2, 1.9f}, {.presence_penalty = 2}), 1);
  EXPECT_EQ(token({-kInf, 1, 0}, {.presence_penalty = -2}), 1);
}

TEST(DeviceSampling, EndIdsAreBannedBeforeMinTokens) {
  OCTAVO_REQUIRE_DEVICE();
  const SamplingParams params{.min_tokens = 2, .stop_token_ids = {1}};
  EXPECT_EQ(device_draw({1, 5, 2}, params, 0).token, 2);
  EXPECT_EQ(device_draw({1, 5, 2}, params, 1).token, 2);
  EXPECT_EQ(device_draw({1, 5, 2}, params, 2).token, 1);
  EXPECT_EQ(device_draw({-kInf, 5, -kInf}, params, 0).token, 1);  // nothing else is left
  std::vector<float> logits(20000, 0);
  SamplingParams many{.min_tokens = 1, .temperature = 1, .top_k = 3};
  for (int32_t id = 0; id < 1000; ++id) {
    logits[static_cast<size_t>(id) * 20] = 9;
    many.stop_token_ids.push_back(id * 20);
  }
  logits[19999] = 8;
  EXPECT_EQ(device_draw(logits, many, 0).token, draw_on_host(logits, many, 0).token);
  EXPECT_EQ(device_draw(logits, many, 1).token, draw_on_host(logits, many, 1).token);
}

// The sum of exponentials is right to 3 ulp, its logarithm to as much in absolute terms; then the
// result is rounded once on either side.
void expect_same_logprobs(const SampledToken& got, const SampledToken& expected) {
  const auto bound = [](float logprob) { return 4 * 0x1p-23 + 0x1p-23 * std::abs(logprob); };
  EXPECT_NEAR(got.logprob, expected.logprob, bound(expected.logprob));
  ASSERT_EQ(got.top_logprobs.size(), expected.top_logprobs.size());
  for (size_t i = 0; i < expected.top_logprobs.size(); ++i) {
    EXPECT_EQ(got.top_logprobs[i].first, expected.top_logprobs[i].first) << "place " << i;
    const float logprob = expected.top_logprobs[i].second;
    if (logprob == -kInf) {
      EXPECT_EQ(got.top_logprobs[i].second, -kInf);
    } else {
      EXPECT_NEAR(got.top_logprobs[i].second, logprob, bound(logprob));
    }
  }
}

TEST(DeviceSampling, LogprobsAreThoseOfTheUnmodifiedLogits) {
  OCTAVO_REQUIRE_DEVICE();
  const std::vector<float> four = log_of({0.125, 0.5, 0.125, 0.25});
  SamplingParams params{.temperature = 0, .presence_penalty = 2};
  params.logprobs = 3;
  const SampledToken token = device_draw(four, params, 1, {1}, 1);
  EXPECT_EQ(token.token, 3);
  const TokenCounts counts{{1, {.in_output = 1}}};
  expect_same_logprobs(token, draw_on_host(four, params, 1, &counts));
  EXPECT_EQ(token.top_logprobs[2].first, 0);  // the tie goes to the lower id
  params.presence_penalty.reset();
  params.logprobs = 0;
  EXPECT_TRUE(device_draw(four, params).top_logprobs.empty());
  params.logprobs = 1;
  EXPECT_EQ(device_draw({-1, -0.0f, 0.0f}, params).top_logprobs[0].first, 1);
  params.logprobs = 20;
  EXPECT_EQ(device_draw(four, params).top_logprobs.size(), 4u);
  const std::vector<float> masked = {0, -kInf, 1, -kInf};
  expect_same_logprobs(device_draw(masked, params), draw_on_host(masked, params, 0));

  Values values(8);
  std::vector<float> logits(128256);
  std::normal_distribution<float> normal(-3, 3.0f);
  for (float& x : logits) x = std::round(normal(values.engine()) * 4) / 4;  // many ties
  for (const SamplingParams& drawn : {SamplingParams{}, SamplingParams{.top_p = 0.9f}}) {
    params = drawn;
    params.logprobs = 20;
    const SampledToken got = device_draw(logits, params, 4);
    const SampledToken expected = draw_on_host(logits, params, 4);
    EXPECT_EQ(got.token, expected.token);
    expect_same_logprobs(got, expected);
  }
}

TEST(DeviceSampling, RefusesAVocabularyLargerThanACluster) {
  SampleArgs args = {};
  args.vocab_size = cuda::kMaxSampledVocab + 1;
  args.num_rows = 1;
  EXPECT_THROW(cuda::launch_sample(args, {}), Error);
}

}  // namespace
}  // namespace octavo::testing

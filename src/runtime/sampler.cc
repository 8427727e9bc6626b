// Penalties, filters and the draw; loops over the vocabulary are plain, for the vectoriser.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "runtime/counter_random.h"

namespace octavo {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;

// Independent lanes: a single running maximum would wait for itself at every element.
float maximum(std::span<const float> row) {
  std::array<float, kLanes> lanes;
  lanes.fill(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = row[i + j] > lanes[j] ? row[i + j] : lanes[j];
  }
  for (; i < row.size(); ++i) lanes[0] = std::max(lanes[0], row[i]);
  return *std::ranges::max_element(lanes);
}

// NaN or +Inf. -Inf is a mask, and fine.
bool has_bad_value(std::span<const float> row) {
  int bad = 0;
  for (const float x : row) bad |= !(x < kInfinity);
  return bad != 0;
}

int32_t first_index_of(std::span<const float> row, float value) {
  return static_cast<int32_t>(std::ranges::find(row, value) - row.begin());
}

float finite(double x) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(x, -kLargest, kLargest));
}

void apply_penalties(std::span<float> row, const SamplingParams& params,
                     const TokenCounts& counts) {
  const double repetition = params.repetition_penalty.value_or(1);
  const double presence = params.presence_penalty.value_or(0);
  const double frequency = params.frequency_penalty.value_or(0);
  for (const auto& [token, count] : counts) {
    float& logit = row[static_cast<size_t>(token)];
    if (logit == -kInfinity) continue;
    double x = logit;
    x = x > 0 ? x / repetition : x * repetition;
    if (count.in_output > 0) x -= presence + frequency * count.in_output;
    logit = finite(x);
  }
}

// Scales by the temperature relative to the maximum, which keeps every exponent at or below 0.
double exponentiate(std::span<const float> row, float largest, float temperature,
                    std::vector<float>& weights) {
  weights.resize(row.size());
  const float inverse = 1 / temperature;
  for (size_t i = 0; i < row.size(); ++i) weights[i] = std::exp((row[i] - largest) * inverse);
  double sum = 0;
  for (const float w : weights) sum += w;
  return sum;
}

// Orders as the float does: negative values reversed below the positive ones, -0 as +0.
uint32_t order_key(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The indices of the largest values in descending order, ties by index: at least `count` of them or
// at least `sum` of value, whichever needs fewer, and not many more. A histogram over the top bits
// of the value finds the cut, so that only what lies above it is sorted.
void sort_largest(std::span<const float> values, size_t count, double sum,
                  std::vector<int32_t>& order) {
  constexpr int kShift = 20;  // sign, exponent, three bits of mantissa
  struct Bucket {
    size_t count = 0;
    double sum = 0;
  };
  std::array<Bucket, size_t{1} << (32 - kShift)> buckets{};
  for (const float value : values) {
    Bucket& bucket = buckets[order_key(value) >> kShift];
    ++bucket.count;
    bucket.sum += value;
  }
  size_t cut = buckets.size();
  Bucket above;
  while (cut > 0 && above.count < count && above.sum < sum) {
    --cut;
    above.count += buckets[cut].count;
    above.sum += buckets[cut].sum;
  }
  // One more, because sums in another order can fall short by a rounding.
  while (cut > 0 && buckets[--cut].count == 0) {
  }
  order.clear();
  for (size_t i = 0; i < values.size(); ++i) {
    if (order_key(values[i]) >> kShift >= cut) order.push_back(static_cast<int32_t>(i));
  }
  std::ranges::sort(order, [values](int32_t a, int32_t b) {
    const float x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
}

// Cuts the candidates in `order` where their weights reach `target`.
void keep_until(double target, std::span<const float> weights, std::vector<int32_t>& order) {
  double sum = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    sum += weights[static_cast<size_t>(order[i])];
    if (sum >= target) return order.resize(i + 1);
  }
}

// Zeroes the weight of what the filters exclude; returns the sum of the rest.
double filter(const SamplingParams& params, double sum, SamplerScratch& scratch) {
  constexpr double kAll = std::numeric_limits<double>::infinity();
  std::vector<float>& weights = scratch.weights;
  std::vector<int32_t>& order = scratch.order;
  const size_t top_k = static_cast<size_t>(params.top_k.value_or(0));
  const bool limit_count = top_k > 0 && top_k < weights.size();
  const double top_p = params.top_p.value_or(1);
  if (!limit_count && top_p >= 1 && !params.min_p) return sum;

  if (limit_count) {
    sort_largest(weights, top_k, kAll, order);
    order.resize(top_k);
    sum = 0;
    for (const int32_t i : order) sum += weights[static_cast<size_t>(i)];
  } else if (top_p < 1) {
    sort_largest(weights, weights.size(), top_p * sum, order);
  }
  if (top_p < 1) keep_until(top_p * sum, weights, order);
  if (limit_count || top_p < 1) {
    scratch.kept.clear();
    for (const int32_t i : order) scratch.kept.push_back(weights[static_cast<size_t>(i)]);
    std::ranges::fill(weights, 0.0f);
    for (size_t i = 0; i < order.size(); ++i) {
      weights[static_cast<size_t>(order[i])] = scratch.kept[i];
    }
  }
  // The likeliest token's weight is exp(0) = 1.
  const float least = params.min_p.value_or(0);
  sum = 0;
  for (float& w : weights) {
    w = w < least ? 0 : w;
    sum += w;
  }
  return sum;
}

int32_t draw(std::span<const float> weights, double target) {
  double sum = 0;
  int32_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    sum += weights[i];
    last = static_cast<int32_t>(i);
    if (sum > target) break;
  }
  return last;  // rounding can leave the target just above the sum
}

void add_logprobs(std::span<const float> logits, int32_t count, SamplerScratch& scratch,
                  SampledToken& result) {
  const float largest = maximum(logits);
  const double log_sum = std::log(exponentiate(logits, largest, 1, scratch.weights));
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(double{logits[static_cast<size_t>(token)]} - largest - log_sum);
  };
  result.logprob = logprob(result.token);
  if (count == 0) return;
  const size_t wanted = std::min(static_cast<size_t>(count), logits.size());
  // By logit, not by weight: small weights round to equal ones.
  sort_largest(logits, wanted, std::numeric_limits<double>::infinity(), scratch.order);
  for (size_t i = 0; i < wanted; ++i) {
    result.top_logprobs.emplace_back(scratch.order[i], logprob(scratch.order[i]));
  }
}

}  // namespace

SampledToken sample_row(std::span<const float> logits, const SamplingParams& params,
                        const TokenCounts* counts, int64_t output_index, SamplerScratch& scratch) {
  SampledToken result;
  float largest = maximum(logits);
  if (has_bad_value(logits) || largest == -kInfinity) {
    result.numerical_error = true;
    return result;
  }
  std::span<const float> row = logits;
  const bool ban_ends = output_index < params.min_tokens && !params.stop_token_ids.empty();
  if (counts != nullptr || ban_ends) {
    scratch.logits.assign(logits.begin(), logits.end());
    if (counts != nullptr) apply_penalties(scratch.logits, params, *counts);
    if (ban_ends) {
      for (const int32_t id : params.stop_token_ids) {
        scratch.logits[static_cast<size_t>(id)] = -kInfinity;
      }
    }
    largest = maximum(scratch.logits);
    // With nothing left to draw the ban gives way: the request ends instead of failing.
    if (largest > -kInfinity)
      row = scratch.logits;
    else
      largest = maximum(logits);
  }
  if (is_greedy(params)) {
    result.token = first_index_of(row, largest);
  } else {
    double sum = exponentiate(row, largest, params.temperature.value_or(1), scratch.weights);
    sum = filter(params, sum, scratch);
    const double u = counter_uniform(params.seed.value_or(0), static_cast<uint64_t>(output_index));
    result.token = draw(scratch.weights, u * sum);
  }
  if (params.logprobs) add_logprobs(logits, *params.logprobs, scratch, result);
  return result;
}

Sampler::Sampler(int32_t num_slots, int32_t vocab_size)
    : vocab_size_(vocab_size), counts_(static_cast<size_t>(num_slots)) {
  OCTAVO_CHECK(vocab_size > 0);
}

TokenCounts& Sampler::counts(int32_t slot) {
  OCTAVO_CHECK(slot >= 0 && static_cast<size_t>(slot) < counts_.size());
  return counts_[static_cast<size_t>(slot)];
}

void Sampler::begin(const StepSequence& sequence) {
  if (sequence.history.empty()) return;
  TokenCounts& counts = this->counts(sequence.slot);
  counts.clear();
  const size_t num_prompt = sequence.history.size() - static_cast<size_t>(sequence.output_index);
  for (size_t i = 0; i < sequence.history.size(); ++i) {
    const int32_t token = sequence.history[i];
    OCTAVO_CHECK(token >= 0 && token < vocab_size_);
    if (i < num_prompt) {
      counts[token].in_prompt = true;
    } else {
      ++counts[token].in_output;
    }
  }
}

SampledToken Sampler::sample(const StepSequence& sequence, std::span<const float> logits,
                             SamplerScratch& scratch) {
  OCTAVO_CHECK(logits.size() == static_cast<size_t>(vocab_size_));
  const SamplingParams& params = *sequence.sampling;
  const bool penalties = has_penalties(params);
  TokenCounts* counts = penalties ? &this->counts(sequence.slot) : nullptr;
  SampledToken result = sample_row(logits, params, counts, sequence.output_index, scratch);
  if (penalties && !result.numerical_error) ++(*counts)[result.token].in_output;
  return result;
}

}  // namespace octavo

// Penalties, filters and the draw itself. The loops over the vocabulary are plain, so that the
// compiler vectorises them. SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

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

// The likeliest tokens in descending order until `enough(count, weight sum)`; sorts no more of the
// vocabulary than it needs.
template <typename Enough>
size_t select_largest(std::span<const float> weights, std::vector<int32_t>& order, Enough enough) {
  order.resize(weights.size());
  std::iota(order.begin(), order.end(), 0);
  const auto larger = [&weights](int32_t a, int32_t b) {
    const float wa = weights[static_cast<size_t>(a)], wb = weights[static_cast<size_t>(b)];
    return wa != wb ? wa > wb : a < b;
  };
  double sum = 0;
  size_t sorted = 0, chunk = 64;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(order.size(), sorted + chunk);
      const auto first = order.begin() + static_cast<std::ptrdiff_t>(i);
      const auto last = order.begin() + static_cast<std::ptrdiff_t>(sorted);
      std::nth_element(first, last - 1, order.end(), larger);
      std::sort(first, last, larger);
      chunk *= 8;
    }
    sum += weights[static_cast<size_t>(order[i])];
    if (enough(i + 1, sum)) return i + 1;
  }
  return order.size();
}

// Zeroes the weight of what the filters exclude; returns the sum of the rest.
double filter(const SamplingParams& params, double sum, SamplerScratch& scratch) {
  std::vector<float>& weights = scratch.weights;
  const size_t top_k = static_cast<size_t>(params.top_k.value_or(0));
  const bool limit_count = top_k > 0 && top_k < weights.size();
  const double top_p = params.top_p.value_or(1);
  if (!limit_count && top_p >= 1 && !params.min_p) return sum;

  size_t kept = weights.size();
  if (limit_count) {
    kept = select_largest(weights, scratch.order, [&](size_t count, double total) {
      sum = total;
      return count == top_k;
    });
  }
  if (top_p < 1) {
    const double target = top_p * sum;
    const size_t limit = kept;
    kept = select_largest(weights, scratch.order, [&](size_t count, double total) {
      return total >= target || count == limit;
    });
  }
  if (kept < weights.size()) {
    for (size_t i = kept; i < weights.size(); ++i) {
      weights[static_cast<size_t>(scratch.order[i])] = 0;
    }
  }
  // The likeliest token's weight is exp(0) = 1.
  const float least = params.min_p.value_or(0);
  sum = 0;
  for (float& w : weights) {
    if (w < least) w = 0;
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
  select_largest(logits, scratch.order, [wanted](size_t n, double) { return n == wanted; });
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

// One step of online softmax: a block of keys and values against rows of queries.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/vector/exp.h"
#include "backend/cpu/vector/f32x16.h"
#include "backend/cpu/vector_ops.h"

namespace octavo {
namespace {

// Scores of one row: every score sums the head dimension over sixteen lanes.
OCTAVO_INLINE void score_row(const AttentionStep& step, int64_t row) {
  const float* query = step.queries + row * step.stride;
  for (int64_t key = 0; key < kAttentionBlock; ++key) {
    const float* other = step.keys + key * step.stride;
    F32x16 sum = broadcast(0.0f);
    for (int64_t i = 0; i < step.stride; i += kLanes) {
      sum = fma(load(query + i), load(other + i), sum);
    }
    step.scores[row * kAttentionBlock + key] = sum_lanes(sum);
  }
}

// Turns scores into probabilities relative to the running maximum, and returns the factor that
// earlier sums shrink by. Keys that the row does not see get probability zero.
OCTAVO_INLINE float soften_row(const AttentionStep& step, int64_t row) {
  constexpr float kNone = -__builtin_inff();
  float* scores = step.scores + row * kAttentionBlock;
  for (int64_t key = 0; key < kAttentionBlock; ++key) {
    const bool seen = key >= step.first[row] && key < step.last[row];
    scores[key] = seen ? scores[key] * step.score_scale : kNone;
  }
  const F32x16 low = load(scores);
  const F32x16 high = load(scores + kLanes);
  const float before = step.maximum[row];
  const float block_maximum = largest_lane(larger(low, high));
  const float maximum = block_maximum > before ? block_maximum : before;
  const F32x16 low_exp = exp(low - broadcast(maximum));
  const F32x16 high_exp = exp(high - broadcast(maximum));
  store(scores, low_exp);
  store(scores + kLanes, high_exp);
  const float shrink = first_lane(exp(broadcast(before - maximum)));
  step.maximum[row] = maximum;
  step.denominator[row] = step.denominator[row] * shrink + sum_lanes(low_exp + high_exp);
  return shrink;
}

// output = output × shrink + probabilities · values, keys in order. Keys that the row does not see
// are skipped, not multiplied by zero: their memory may hold anything.
OCTAVO_INLINE void add_values(const AttentionStep& step, int64_t row, float shrink) {
  const float* probabilities = step.scores + row * kAttentionBlock;
  float* output = step.output + row * step.stride;
  for (int64_t i = 0; i < step.stride; i += kLanes) {
    F32x16 sum = load(output + i) * broadcast(shrink);
    for (int64_t key = step.first[row]; key < step.last[row]; ++key) {
      sum = fma(broadcast(probabilities[key]), load(step.values + key * step.stride + i), sum);
    }
    store(output + i, sum);
  }
}

void attention_step(const AttentionStep& step) {
  for (int64_t row = 0; row < step.rows; ++row) {
    if (step.first[row] >= step.last[row]) continue;
    score_row(step, row);
    add_values(step, row, soften_row(step, row));
  }
}

}  // namespace
}  // namespace octavo

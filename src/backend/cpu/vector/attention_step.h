// One step of online softmax: a block of keys and values against rows of queries.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: rows and keys are worked on in register tiles, yet every score and every output element is
// the same chain of operations whatever tile it falls into.
#pragma once

#include "backend/cpu/vector/exp.h"
#include "backend/cpu/vector/f32x16.h"
#include "backend/cpu/vector_ops.h"

namespace octavo {
namespace {

// Accumulators that fit the registers: sixteen vectors with AVX-512, four with AVX2.
constexpr int kAccumulators = kParts == 1 ? 16 : kParts == 2 ? 4 : 2;
constexpr int kTileScores = 16;

// Scores of kRows rows against kKeys keys, their lanes folded to one part each. Every score sums
// the head dimension over sixteen lanes.
template <int kRows, int kKeys>
OCTAVO_INLINE void score_registers(const float* queries, const float* keys, int64_t stride,
                                   FloatPart* folded, int folded_stride) {
  F32x16 sums[kRows][kKeys] = {};
  for (int64_t i = 0; i < stride; i += kLanes) {
    for (int row = 0; row < kRows; ++row) {
      for (int key = 0; key < kKeys; ++key) {
        sums[row][key] =
            fma(load(queries + row * stride + i), load(keys + key * stride + i), sums[row][key]);
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int key = 0; key < kKeys; ++key)
      folded[row * folded_stride + key] = fold_parts(sums[row][key]);
  }
}

// Sixteen scores: kRows rows against as many keys as fill the tile.
template <int kRows>
OCTAVO_INLINE void score_tile(const AttentionStep& step, int64_t row, int64_t key) {
  constexpr int kKeys = kTileScores / kRows;
  constexpr int kRowsOfPass = kRows < kAccumulators ? kRows : kAccumulators;
  constexpr int kKeysOfPass = kAccumulators / kRowsOfPass;
  FloatPart folded[kTileScores];
  for (int r = 0; r < kRows; r += kRowsOfPass) {
    for (int k = 0; k < kKeys; k += kKeysOfPass) {
      score_registers<kRowsOfPass, kKeysOfPass>(step.queries + (row + r) * step.stride,
                                                step.keys + (key + k) * step.stride, step.stride,
                                                folded + r * kKeys + k, kKeys);
    }
  }
  float scores[kTileScores];
  store(scores, sum_lanes_of_sixteen(folded));
  for (int r = 0; r < kRows; ++r) {
    __builtin_memcpy(step.scores + (row + r) * kAttentionBlock + key, scores + r * kKeys,
                     kKeys * sizeof(float));
  }
}

template <int kRows>
OCTAVO_INLINE void score_rows(const AttentionStep& step, int64_t row) {
  for (int64_t key = 0; key < kAttentionBlock; key += kTileScores / kRows) {
    score_tile<kRows>(step, row, key);
  }
}

void compute_scores(const AttentionStep& step) {
  int64_t row = 0;
  for (; row + 4 <= step.rows; row += 4) score_rows<4>(step, row);
  for (; row + 2 <= step.rows; row += 2) score_rows<2>(step, row);
  for (; row < step.rows; ++row) score_rows<1>(step, row);
}

// Turns scores into probabilities relative to the running maximum, and returns the factor that
// earlier sums shrink by. Keys that the row does not see get probability zero.
OCTAVO_INLINE float soften_row(const AttentionStep& step, int64_t row) {
  constexpr float kNone = -__builtin_inff();
  float* scores = step.scores + row * kAttentionBlock;
  for (int64_t key = 0; key < step.first[row]; ++key) scores[key] = kNone;
  for (int64_t key = step.last[row]; key < kAttentionBlock; ++key) scores[key] = kNone;
  const F32x16 scale = broadcast(step.score_scale);
  const F32x16 low = load(scores) * scale;
  const F32x16 high = load(scores + kLanes) * scale;
  const float before = step.maximum[row];
  const float block_maximum = largest_lane(larger(low, high));
  const float maximum = block_maximum > before ? block_maximum : before;
  const F32x16 low_exp = exp(low - broadcast(maximum));
  const F32x16 high_exp = exp(high - broadcast(maximum));
  store(scores, low_exp);
  store(scores + kLanes, high_exp);
  // exp(0) is exactly one, so the exponential can be left out.
  const float shrink = before == maximum ? 1.0f : first_lane(exp(broadcast(before - maximum)));
  step.maximum[row] = maximum;
  step.denominator[row] = step.denominator[row] * shrink + sum_lanes(low_exp + high_exp);
  return shrink;
}

// output = output × shrink + probabilities · values for kRows rows that see the same keys, on
// kVectors × 16 columns; keys in order. Keys that the rows do not see are skipped, not multiplied
// by zero: their memory may hold anything.
template <int kRows, int kVectors>
OCTAVO_INLINE void add_values(const AttentionStep& step, int64_t row, int64_t column,
                              const float* shrink) {
  float* output = step.output + row * step.stride + column;
  const float* probabilities = step.scores + row * kAttentionBlock;
  F32x16 sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v)
      sums[r][v] = load(output + r * step.stride + v * kLanes) * broadcast(shrink[r]);
  }
  for (int64_t key = step.first[row]; key < step.last[row]; ++key) {
    const float* values = step.values + key * step.stride + column;
    for (int r = 0; r < kRows; ++r) {
      const F32x16 probability = broadcast(probabilities[r * kAttentionBlock + key]);
      for (int v = 0; v < kVectors; ++v)
        sums[r][v] = fma(probability, load(values + v * kLanes), sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) store(output + r * step.stride + v * kLanes, sums[r][v]);
  }
}

template <int kRows>
OCTAVO_INLINE void add_values_of_rows(const AttentionStep& step, int64_t row) {
  constexpr int kVectors = kAccumulators / kRows > 4 ? 4 : kAccumulators / kRows;
  float shrink[kRows];
  for (int r = 0; r < kRows; ++r) shrink[r] = soften_row(step, row + r);
  int64_t column = 0;
  for (; column + kVectors * kLanes <= step.stride; column += kVectors * kLanes)
    add_values<kRows, kVectors>(step, row, column, shrink);
  for (; column < step.stride; column += kLanes) add_values<kRows, 1>(step, row, column, shrink);
}

OCTAVO_INLINE bool same_keys(const AttentionStep& step, int64_t row, int64_t rows) {
  for (int64_t i = row + 1; i < row + rows; ++i) {
    if (step.first[i] != step.first[row] || step.last[i] != step.last[row]) return false;
  }
  return true;
}

void attention_step(const AttentionStep& step) {
  constexpr int kRows = kAccumulators < 4 ? kAccumulators : 4;
  compute_scores(step);
  for (int64_t row = 0; row < step.rows;) {
    if (step.first[row] >= step.last[row]) {
      ++row;
    } else if (row + kRows <= step.rows && same_keys(step, row, kRows)) {
      add_values_of_rows<kRows>(step, row);
      row += kRows;
    } else {
      add_values_of_rows<1>(step, row);
      ++row;
    }
  }
}

}  // namespace
}  // namespace octavo

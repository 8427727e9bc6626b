// Sums and activations of a row of float32.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/vector/convert.h"
#include "backend/cpu/vector/exp.h"
#include "backend/cpu/vector/f32x16.h"

namespace octavo {
namespace {

// Lane j sums the elements j, j + 16, …; the lanes are folded by halves.
float sum_of_squares(const float* x, int64_t count) {
  F32x16 sum = broadcast(0.0f);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const F32x16 value = load(x + i);
    sum = fma(value, value, sum);
  }
  if (i < count) {
    const F32x16 value = load_part(x + i, count - i);
    sum = fma(value, value, sum);
  }
  return sum_lanes(sum);
}

void add(const float* a, const float* b, float* y, int64_t count) {
  OCTAVO_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void normalize(const float* x, float factor, bool round_first, const float* weight, float* y,
               int64_t count) {
  if (round_first) {
    OCTAVO_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) y[i] = nearest_bf16(x[i] * factor) * weight[i];
  } else {
    OCTAVO_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) y[i] = x[i] * factor * weight[i];
  }
}

void rotate(const float* x, const float* cosines, const float* sines, float* y, int64_t half) {
  OCTAVO_INDEPENDENT
  for (int64_t i = 0; i < half; ++i) {
    const float first = x[i];
    const float second = x[half + i];
    y[i] = first * cosines[i] - second * sines[i];
    y[half + i] = second * cosines[i] + first * sines[i];
  }
}

// gate / (1 + exp(-gate)) × up
OCTAVO_INLINE F32x16 silu_multiply(const F32x16& gate, const F32x16& up) {
  const F32x16 one = broadcast(1.0f);
  return gate / (one + exp(broadcast(0.0f) - gate)) * up;
}

void silu_multiply(const float* gate, const float* up, float* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(y + i, silu_multiply(load(gate + i), load(up + i)));
  }
  if (i < count) {
    const int64_t rest = count - i;
    store_part(y + i, silu_multiply(load_part(gate + i, rest), load_part(up + i, rest)), rest);
  }
}

}  // namespace
}  // namespace octavo

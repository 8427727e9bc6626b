// RMS norm, alone or after a residual add.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo {
struct AddRmsNormArgs;  // ops/add_rms_norm.h
}

namespace octavo::cuda {

struct NormRows {
  const void* x;
  const void* residual;  // null: no add
  const void* weight;
  const float* output_scale;
  void* sum;
  void* y;
  int64_t x_stride, residual_stride, sum_stride, y_stride;
  int64_t rows;
  int groups;  // of a row, each normed by itself
  int width;   // of a group
  int vector;  // elements that may be moved at once: 8 or 1
  float inverse_width;
  float epsilon;
  DType activation;
  DType output;
  bool late = false;  // lets the next kernel in when its own inputs are there, not at its start
};

// Without a residual, no sum either.
NormRows rows_of(const AddRmsNormArgs& args);

inline constexpr int kMaxNormThreads = 512;
inline constexpr int kMaxNormHeld = 4;

// How many vectors a thread of a row's block holds. It follows the width alone, as does the order
// of summation: four warps a row are enough work for a multiprocessor and few to wait for.
struct NormLayout {
  int held;  // 1, 2 or 4
  int threads;
  bool fits;  // so many threads hold the whole row
};
inline NormLayout norm_layout(int width, int vector) {
  const int64_t vectors = blocks_for(width, vector);
  int held = 1;
  while (held < kMaxNormHeld && vectors > int64_t{128} * held) held *= 2;
  const int64_t threads = blocks_for(blocks_for(vectors, held), 32) * 32;
  return {.held = held,
          .threads = threads < kMaxNormThreads ? static_cast<int>(threads) : kMaxNormThreads,
          .fits = vectors <= int64_t{kMaxNormThreads} * held};
}

void launch_rms_norm(const NormRows& rows, const Launch& where);
void launch_rms_norm_reference(const NormRows& rows, const Launch& where);  // no residual

}  // namespace octavo::cuda

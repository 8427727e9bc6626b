// RMS norm, alone or after a residual add.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

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
};

void launch_rms_norm(const NormRows& rows, const Launch& where);
void launch_rms_norm_reference(const NormRows& rows, const Launch& where);  // no residual

}  // namespace octavo::cuda

// Linear, the plain version.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/gemm/scale_strides.h"
#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

inline constexpr int kMaxSegments = 8;

struct ReferenceGemm {
  const void* x;              // [m, k]
  const void* weight;         // [n, k]; of 4-bit codes [n / 2, k]
  const float* input_scale;   // null: x is not codes
  const float* weight_scale;  // null: the weight is not codes
  const void* bias;           // of y's type; null: none
  void* y;                    // [m, n]
  int64_t x_stride, weight_stride, y_stride;
  int64_t m, n, k;
  int segments;
  int64_t segment_end[kMaxSegments];
  DType x_type, weight_type, y_type;
  ScaleStrides strides = {};
};

void launch_reference_gemm(const ReferenceGemm& gemm, const Launch& where);

}  // namespace octavo::cuda

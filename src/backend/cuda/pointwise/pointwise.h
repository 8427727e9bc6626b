// Add, SwiGLU and quantize: element by element over rows that may be strided.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

struct PointwiseRows {
  const void* a;
  const void* b;
  const float* output_scale;
  void* y;
  int64_t a_stride, b_stride, y_stride;
  int64_t rows;
  int64_t columns;
  int vector;  // elements that may be moved at once: 8 or 1
  DType activation;
  DType output;
  bool late = false;  // lets the next kernel in when its own inputs are there, not at its start
};

void launch_add(const PointwiseRows& rows, const Launch& where);
void launch_swiglu(const PointwiseRows& rows, const Launch& where);
void launch_swiglu_reference(const PointwiseRows& rows, const Launch& where);
void launch_quantize(const PointwiseRows& rows, const Launch& where);

}  // namespace octavo::cuda

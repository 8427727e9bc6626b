// The scale of one output of a linear of experts.
// SPDX-License-Identifier: Apache-2.0
//
// Part of grouped_reference.cu and grouped_stream.cu.
#pragma once

#include "backend/cuda/gemm/grouped_linear.h"

namespace octavo::cuda {

// One product of the scales of a part of K; 1 where there are none.
__device__ inline float grouped_scale(const GroupedGemm& gemm, int expert, int64_t row, int column,
                                      int part) {
  float scale = 1.0f;
  if (gemm.input_scale != nullptr) {
    scale = gemm.input_stride == 0
                ? gemm.input_scale[expert]
                : gemm.input_scale[row * gemm.input_stride + (gemm.input_parts == 1 ? 0 : part)];
  }
  if (gemm.weight_scale == nullptr) return scale;
  if (gemm.block_rows > 0) {
    const int64_t block = static_cast<int64_t>(expert) * gemm.row_blocks + column / gemm.block_rows;
    return scale * gemm.weight_scale[block * gemm.parts + part];
  }
  int segment = 0;
  while (column >= gemm.segment_end[segment]) ++segment;
  return scale * gemm.weight_scale[expert * gemm.segments + segment];
}

}  // namespace octavo::cuda

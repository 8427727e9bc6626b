// Pieces of an RMS norm: squares, the factor of a row, and its elements as they are written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/device/vector.cuh"

namespace octavo::device {

template <typename T, int kWidth>
__device__ __forceinline__ float add_squares(float squares, const Vec<T, kWidth>& vec) {
  float values[kWidth];
  to_floats(values, vec);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) squares += values[i] * values[i];
  return squares;
}

template <typename T, typename Out, int kWidth>
__device__ __forceinline__ void write_normed(Out* y, const Vec<T, kWidth>& vec,
                                             const Vec<T, kWidth>& weight, float factor,
                                             float inverse) {
  float values[kWidth], scales[kWidth];
  to_floats(values, vec);
  to_floats(scales, weight);
#pragma unroll
  for (float& value : values) value *= factor;
  to_floats(values, round_all<T>(values));
#pragma unroll
  for (int i = 0; i < kWidth; ++i) values[i] *= scales[i];
  store_as<T, kWidth>(y, values, inverse);
}

// Of a block's row; every thread brings its part of the squares.
__device__ __forceinline__ float norm_factor(float squares, float inverse_width, float epsilon) {
  __shared__ alignas(16) float scratch[16];
  const float mean = block_sum(squares, scratch) * inverse_width;
  return rsqrtf(mean + epsilon);  // within 2 ulp
}

}  // namespace octavo::device

// Cases of linear with scales by token, weight row and part of K: operands and their exact result.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/linear_case.h"

namespace octavo::testing {

struct ScaledShape {
  int64_t m, n, k;
  int64_t block_rows;     // 0: a scale a segment
  int64_t block_columns;  // 0: all of K
  int64_t input_scales;   // of a token; 0: one for all tokens
  int segments = 1;

  std::string name() const {
    return fmt::format("{} x {} x {} by {} x {}, {} input scales, {} segments", m, n, k, block_rows,
                       block_columns, input_scales, segments);
  }
};

// Powers of two where products and sums shall be exact.
inline Tensor random_scales(Values& values, Shape shape, bool integers) {
  Tensor scales(DType::kF32, shape);
  for (int64_t i = 0; i < shape.elements(); ++i)
    scales.as<float>()[i] = integers ? std::ldexp(1.0f, values.below(4) - 2)
                                     : 0.002f * static_cast<float>(1 + values.below(50));
  return scales;
}

inline Linear make_scaled_linear(const ScaledShape& shape, bool integers, DType bias) {
  Linear linear =
      make_linear(DType::kE4M3, shape.m, shape.n, shape.k, shape.segments, integers, bias);
  Values values(static_cast<uint32_t>(shape.m + shape.n + shape.k));
  linear.params.block_rows = shape.block_rows;
  linear.params.block_columns = shape.block_columns;
  const int64_t parts = linear.params.depth_blocks(shape.k);
  if (shape.input_scales > 0)
    linear.input_scale = random_scales(values, {shape.m, shape.input_scales}, integers);
  if (shape.block_rows > 0) {
    const int64_t blocks = (shape.n + shape.block_rows - 1) / shape.block_rows;
    linear.weight_scale = random_scales(values, {blocks, parts}, integers);
  }
  return linear;
}

inline double scale_at(const Linear& linear, int64_t token, int64_t row, int64_t part) {
  const LinearParams& params = linear.params;
  const float* input = linear.input_scale.as<float>();
  if (linear.input_scale.shape().rank() == 2) {
    const int64_t columns = linear.input_scale.shape()[1];
    input += token * columns + (columns > 1 ? part : 0);
  }
  if (params.block_rows > 0) {
    const int64_t parts = params.depth_blocks(linear.k);
    return static_cast<double>(*input) *
           linear.weight_scale.as<float>()[row / params.block_rows * parts + part];
  }
  size_t segment = 0;
  int64_t end = params.segment_rows.empty() ? linear.n : params.segment_rows[0];
  while (row >= end) end += params.segment_rows[++segment];
  return static_cast<double>(*input) * linear.weight_scale.as<float>()[segment];
}

inline Expected scaled_oracle(const Linear& linear) {
  Expected expected;
  std::vector<float> x(linear.m * linear.k), weight(linear.n * linear.k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(linear.x.view(), i);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = element(linear.weight.view(), i);
  const int64_t width = linear.params.block_columns == 0 ? linear.k : linear.params.block_columns;
  for (int64_t token = 0; token < linear.m; ++token) {
    for (int64_t row = 0; row < linear.n; ++row) {
      double sum = 0, magnitude = 0;
      for (int64_t first = 0; first < linear.k; first += width) {
        const double scale = scale_at(linear, token, row, first / width);
        for (int64_t k = first; k < std::min(linear.k, first + width); ++k) {
          const double product =
              static_cast<double>(x[token * linear.k + k]) * weight[row * linear.k + k] * scale;
          sum += product;
          magnitude += std::abs(product);
        }
      }
      const double bias = linear.bias.defined() ? element(linear.bias.view(), row) : 0.0;
      expected.y.push_back(sum + bias);
      expected.magnitude.push_back(magnitude + std::abs(bias));
    }
  }
  return expected;
}

}  // namespace octavo::testing

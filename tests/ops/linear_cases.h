// Cases of linear over types, odd sizes, segments, scales and bias.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "op_case.h"

namespace octavo::testing_ops {

struct LinearGrid {
  int64_t rows;
  int64_t in;
  DType x;
  DType weight;
  DType output;

  std::string name() const {
    return fmt::format("{}x{} {} · {} to {}", rows, in, to_string(x), to_string(weight),
                       to_string(output));
  }
};

inline std::vector<LinearGrid> linear_grid() {
  const std::vector<std::pair<DType, DType>> types = {{DType::kF32, DType::kF32},
                                                      {DType::kF32, DType::kBF16},
                                                      {DType::kBF16, DType::kBF16},
                                                      {DType::kBF16, DType::kE4M3},
                                                      {DType::kE4M3, DType::kE4M3}};
  std::vector<LinearGrid> grid;
  for (const int64_t rows : {0, 1, 31, 32, 33}) {
    for (const int64_t in : {1, 33, 256}) {
      for (const auto& [x, weight] : types) {
        for (const DType output : {DType::kF32, DType::kBF16})
          grid.push_back({rows, in, x, weight, output});
      }
    }
  }
  return grid;
}

// Interval of one output: a rounding a product and one an addition, in any order; then the product
// of the scales, its application and the bias.
inline Interval linear_output(const OpCase& one, int64_t row, int64_t column, double scale) {
  const HostTensor& x = one.inputs[0];
  const HostTensor& weight = one.inputs[1];
  const int64_t depth = weight.shape()[1];
  double sum = 0, absolute = 0;
  for (int64_t k = 0; k < depth; ++k) {
    const double product = x.get(row * depth + k) * weight.get(column * depth + k);
    sum += product;
    absolute += std::abs(product);
  }
  const double bias = one.inputs[4].present() ? one.inputs[4].get(column) : 0.0;
  const double bound =
      (2.0 * static_cast<double>(depth) + 3) * kUnit * (absolute * scale + std::abs(bias));
  return Interval::around(sum * scale + bias, bound);
}

inline OpCase linear_case(const LinearGrid& grid, std::mt19937& random) {
  const std::vector<int64_t> segments = {17, 16, 2};
  constexpr int64_t kOut = 35;
  const std::vector<double> weight_scales = {0.01, 0.5, 0.03};
  const double input_scale = 0.02;
  const double spread = grid.weight == DType::kE4M3 ? 40.0 : 1.0;
  OpCase one{.name = grid.name(), .op = Op::kLinear};
  one.params = LinearParams{segments};
  HostTensor scales;
  if (grid.weight == DType::kE4M3) {
    scales = HostTensor(DType::kF32, {3});
    for (int64_t i = 0; i < 3; ++i) scales.set(i, weight_scales[static_cast<size_t>(i)]);
  } else {
    one.params = LinearParams{};
  }
  const bool quantized = grid.x == DType::kE4M3;
  const int64_t gap = grid.in % 2 == 0 ? 0 : 5;
  one.inputs = {normal_tensor(grid.x, {grid.rows, grid.in}, gap, random, quantized ? 40.0 : 1.0),
                normal_tensor(grid.weight, {kOut, grid.in}, 0, random, spread),
                quantized ? scale_tensor(input_scale) : HostTensor(), scales,
                grid.in == 33 ? normal_tensor(grid.output, {kOut}, 0, random) : HostTensor()};
  one.outputs = {{grid.output, {grid.rows, kOut}, gap}};
  Expected expected;
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < kOut; ++column) {
      const int64_t segment = column < 17 ? 0 : column < 33 ? 1 : 2;
      const double weight_scale = scales.present() ? scales.get(segment) : 1.0;
      const double x_scale = quantized ? one.inputs[2].get(0) : 1.0;
      expected.values.push_back(linear_output(one, row, column, weight_scale * x_scale));
    }
  }
  one.expected = {expected};
  return one;
}

inline std::vector<OpCase> linear_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(10);
  for (const LinearGrid& grid : linear_grid()) cases.push_back(linear_case(grid, random));
  return cases;
}

}  // namespace octavo::testing_ops

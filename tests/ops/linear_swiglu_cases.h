// Cases of linear_swiglu: sums that are exact in every order, so that only SwiGLU has a bound.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elementwise_cases.h"

namespace octavo::testing_ops {

struct LinearSwigluGrid {
  int64_t rows, in;
  DType operand, output;

  // What gate and up are rounded to.
  DType halves() const { return output == DType::kE4M3 ? DType::kBF16 : output; }
};

// Integers whose products with the scales, powers of two, lie within SwiGLU's curved part.
inline HostTensor small_integers(DType dtype, Shape shape, int64_t padding, std::mt19937& random) {
  HostTensor out(dtype, shape, padding);
  for (int64_t i = 0; i < out.elements(); ++i) out.set(i, static_cast<double>(random() % 7) - 3.0);
  return out;
}

inline OpCase linear_swiglu_case(const LinearSwigluGrid& grid, std::mt19937& random) {
  constexpr int64_t kColumns = 20;
  constexpr double kInputScale = 0.25, kGateScale = 0.5, kUpScale = 0.125;
  const bool quantized = grid.operand == DType::kE4M3;
  const int64_t padding = grid.in % 2 == 0 ? 0 : 5;
  OpCase one{.name = fmt::format("{}x{} {} to {}", grid.rows, grid.in, to_string(grid.operand),
                                 to_string(grid.output)),
             .op = Op::kLinearSwiglu};
  one.params =
      LinearParams{quantized ? std::vector<int64_t>{kColumns, kColumns} : std::vector<int64_t>{}};
  HostTensor scales;
  if (quantized) {
    scales = HostTensor(DType::kF32, {2});
    scales.set(0, kGateScale);
    scales.set(1, kUpScale);
  }
  const HostTensor x = small_integers(grid.operand, {grid.rows, grid.in}, padding, random);
  const HostTensor weight = small_integers(grid.operand, {2 * kColumns, grid.in}, 0, random);
  const HostTensor bias =
      grid.in == 33 ? small_integers(grid.halves(), {2 * kColumns}, 0, random) : HostTensor();
  one.inputs = {x,      weight, quantized ? scale_tensor(kInputScale) : HostTensor(),
                scales, bias,   output_scale_of(grid.output)};
  one.outputs = {{grid.output, {grid.rows, kColumns}, padding}};
  const auto half = [&](int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t k = 0; k < grid.in; ++k)
      sum += x.get(row * grid.in + k) * weight.get(column * grid.in + k);
    if (quantized) sum *= kInputScale * (column < kColumns ? kGateScale : kUpScale);
    if (bias.present()) sum += bias.get(column);
    return round_to(grid.halves(), sum);
  };
  Expected expected = expected_of(grid.halves(), grid.output);
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < kColumns; ++column) {
      const double gate = half(row, column);
      const double value = gate / (1.0 + std::exp(-gate)) * half(row, kColumns + column);
      expected.values.push_back(Interval::around(value, std::abs(value) * 8 * kUnit));
    }
  }
  one.expected = {expected};
  return one;
}

inline std::vector<OpCase> linear_swiglu_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(31);
  for (const int64_t rows : {0, 1, 31, 33}) {
    for (const int64_t in : {1, 16, 33}) {
      for (const DType operand : {DType::kF32, DType::kBF16, DType::kE4M3}) {
        for (const DType output : {DType::kF32, DType::kBF16, DType::kE4M3})
          cases.push_back(linear_swiglu_case({rows, in, operand, output}, random));
      }
    }
  }
  return cases;
}

}  // namespace octavo::testing_ops

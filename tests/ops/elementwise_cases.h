// Cases of the ops that work row by row: copies, add, norms, quantize, swiglu, rope.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "op_case.h"

namespace octavo::testing_ops {

// Sizes and types that the cases of every row-wise op run over.
struct RowGrid {
  int64_t rows;
  int64_t columns;
  int64_t padding;
  DType dtype;
  DType output;

  std::string name() const {
    return fmt::format("{}x{}+{} {} to {}", rows, columns, padding, to_string(dtype),
                       to_string(output));
  }
};

inline std::vector<RowGrid> row_grid(std::vector<int64_t> all_columns, bool with_e4m3) {
  std::vector<RowGrid> grid;
  for (const int64_t rows : {0, 1, 31, 32, 33}) {
    for (const int64_t columns : all_columns) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        for (const DType output : {DType::kF32, DType::kBF16, DType::kE4M3}) {
          if (output == DType::kE4M3 && !with_e4m3) continue;
          grid.push_back({rows, columns, columns % 2 == 0 ? 0 : 3, dtype, output});
        }
      }
    }
  }
  return grid;
}

inline constexpr float kOutputScale = 0.0123f;

inline HostTensor output_scale_of(DType output) {
  return output == DType::kE4M3 ? scale_tensor(kOutputScale) : HostTensor();
}

inline Expected expected_of(DType intermediate, DType output) {
  return {.intermediate = intermediate,
          .inverse_scale = output == DType::kE4M3 ? inverse_scale(kOutputScale) : 1.0f};
}

inline std::vector<OpCase> copy_cases(Op op) {
  std::vector<OpCase> cases;
  std::mt19937 random(1);
  constexpr int64_t kSourceRows = 50;
  const bool keeps_type = op == Op::kGatherRows;  // codes too
  for (const RowGrid& grid : row_grid({1, 33, 256}, keeps_type)) {
    if (keeps_type && grid.dtype == DType::kBF16) continue;  // the other takes the output's
    const HostTensor source = normal_tensor(keeps_type ? grid.output : grid.dtype,
                                            {kSourceRows, grid.columns}, grid.padding, random);
    HostTensor index(DType::kI32, {grid.rows});
    Expected expected;
    for (int64_t row = 0; row < grid.rows; ++row) {
      const auto from = static_cast<int64_t>(random() % kSourceRows);
      index.set(row, static_cast<double>(from));
      for (int64_t i = 0; i < grid.columns; ++i)
        expected.values.push_back(Interval::exactly(source.get(from * grid.columns + i)));
    }
    const bool index_first = op == Op::kEmbedding;
    cases.push_back({.name = grid.name(),
                     .op = op,
                     .inputs = {index_first ? index : source, index_first ? source : index},
                     .outputs = {{grid.output, {grid.rows, grid.columns}, grid.padding}},
                     .expected = {expected}});
  }
  return cases;
}

inline std::vector<OpCase> add_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(2);
  for (const RowGrid& grid : row_grid({1, 33, 256}, false)) {
    const Shape shape{grid.rows, grid.columns};
    OpCase one{.name = grid.name(), .op = Op::kAdd};
    one.inputs = {normal_tensor(grid.dtype, shape, grid.padding, random),
                  normal_tensor(grid.output, shape, 0, random)};
    one.outputs = {{grid.output, shape, grid.padding}};
    Expected expected;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const auto sum = static_cast<float>(one.inputs[0].get(i) + one.inputs[1].get(i));
      expected.values.push_back(Interval::exactly(sum));
    }
    one.expected = {expected};
    cases.push_back(one);
  }
  return cases;
}

inline std::vector<OpCase> quantize_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(3);
  const std::vector<double> special = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-30, 3e38, -3e38};
  for (const RowGrid& grid : row_grid({1, 33, 256}, true)) {
    if (grid.output != DType::kE4M3) continue;
    const Shape shape{grid.rows, grid.columns};
    HostTensor x = normal_tensor(grid.dtype, shape, grid.padding, random, 2.0);
    for (int64_t i = 0; i < x.elements() && i < std::ssize(special); ++i) x.set(i, special[i]);
    Expected expected = expected_of(grid.dtype, grid.output);
    for (int64_t i = 0; i < x.elements(); ++i)
      expected.values.push_back(Interval::exactly(x.get(i)));
    cases.push_back({.name = grid.name(),
                     .op = Op::kQuantize,
                     .inputs = {x, scale_tensor(kOutputScale)},
                     .outputs = {{grid.output, shape, grid.padding}},
                     .expected = {expected}});
  }
  return cases;
}

// Interval of one normalized element. Any order of summing the squares is allowed: `width`
// roundings at most, halved by the square root; mean, epsilon, root, reciprocal and product round
// once each.
inline Interval normalized(double x, double inverse_rms, int64_t width, DType type, double weight) {
  const double error = (0.5 * static_cast<double>(width) + 5.0) * kUnit;
  const double value = x * inverse_rms;
  const Interval raw = Interval::around(value, std::abs(value) * error);
  return Interval{round_to(type, raw.low), round_to(type, raw.high)} * weight;
}

inline void expect_norm(const HostTensor& x, const HostTensor& weight, double epsilon,
                        Expected& expected) {
  const int64_t width = weight.elements();
  for (int64_t group = 0; group < x.elements(); group += width) {
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += x.get(group + i) * x.get(group + i);
    const double inverse_rms = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (int64_t i = 0; i < width; ++i) {
      expected.values.push_back(
          normalized(x.get(group + i), inverse_rms, width, x.dtype(), weight.get(i)));
    }
  }
}

inline std::vector<OpCase> rms_norm_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(4);
  constexpr float kEpsilon = 1e-5f;
  for (const RowGrid& grid : row_grid({1, 33, 256}, true)) {
    const Shape shape{grid.rows, grid.columns};
    const int64_t width = grid.columns == 256 && grid.rows == 31 ? 64 : grid.columns;
    OpCase one{.name = grid.name(), .op = Op::kRmsNorm, .params = RmsNormParams{kEpsilon}};
    one.inputs = {normal_tensor(grid.dtype, shape, grid.padding, random),
                  normal_tensor(grid.dtype, {width}, 0, random), output_scale_of(grid.output)};
    one.outputs = {{grid.output, shape, grid.padding}};
    Expected expected = expected_of(grid.dtype, grid.output);
    expect_norm(one.inputs[0], one.inputs[1], kEpsilon, expected);
    one.expected = {expected};
    cases.push_back(one);
  }
  return cases;
}

inline std::vector<OpCase> add_rms_norm_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(5);
  constexpr float kEpsilon = 1e-6f;
  for (const RowGrid& grid : row_grid({1, 33, 256}, true)) {
    const Shape shape{grid.rows, grid.columns};
    OpCase one{.name = grid.name(), .op = Op::kAddRmsNorm, .params = RmsNormParams{kEpsilon}};
    one.inputs = {normal_tensor(grid.dtype, shape, grid.padding, random),
                  normal_tensor(grid.dtype, shape, 0, random),
                  normal_tensor(grid.dtype, {grid.columns}, 0, random),
                  output_scale_of(grid.output)};
    one.outputs = {{grid.dtype, shape, 0}, {grid.output, shape, grid.padding}};
    HostTensor sum(grid.dtype, shape);
    Expected sums;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      sum.set(i, one.inputs[0].get(i) + one.inputs[1].get(i));
      sums.values.push_back(Interval::exactly(sum.get(i)));
    }
    Expected norms = expected_of(grid.dtype, grid.output);
    expect_norm(sum, one.inputs[2], kEpsilon, norms);
    one.expected = {sums, norms};
    cases.push_back(one);
  }
  return cases;
}

inline std::vector<OpCase> swiglu_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(6);
  for (const RowGrid& grid : row_grid({1, 33, 256}, true)) {
    const Shape shape{grid.rows, grid.columns};
    OpCase one{.name = grid.name(), .op = Op::kSwiglu};
    one.inputs = {normal_tensor(grid.dtype, shape, grid.columns, random, 4.0),
                  normal_tensor(grid.dtype, shape, grid.columns, random),
                  output_scale_of(grid.output)};
    one.outputs = {{grid.output, shape, grid.padding}};
    Expected expected = expected_of(grid.dtype, grid.output);
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const double gate = one.inputs[0].get(i);
      const double value = gate / (1.0 + std::exp(-gate)) * one.inputs[1].get(i);
      // The exponential within four units, the sum, the quotient and the product: eight in all.
      expected.values.push_back(Interval::around(value, std::abs(value) * 8 * kUnit));
    }
    one.expected = {expected};
    cases.push_back(one);
  }
  return cases;
}

inline HostTensor inverse_frequencies(int64_t head_dim) {
  HostTensor out(DType::kF32, {head_dim / 2});
  for (int64_t i = 0; i < head_dim / 2; ++i)
    out.set(i, std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return out;
}

// Interval of one rotated element: cosine and sine are within one unit, products and sum round.
inline std::vector<Interval> rotated(const HostTensor& x, const HostTensor& positions,
                                     const HostTensor& frequency) {
  const int64_t half = frequency.elements();
  std::vector<Interval> out;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t pair = i % (2 * half) % half;
    const bool is_first = i % (2 * half) < half;
    const double other = x.get(is_first ? i + half : i - half) * (is_first ? -1.0 : 1.0);
    const auto position = static_cast<float>(positions.get(i / x.shape()[1]));
    const double angle = position * static_cast<float>(frequency.get(pair));
    const double value = x.get(i) * std::cos(angle) + other * std::sin(angle);
    out.push_back(Interval::around(value, (std::abs(x.get(i)) + std::abs(other)) * 4 * kUnit));
  }
  return out;
}

inline std::vector<OpCase> rope_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(7);
  for (const RowGrid& grid : row_grid({128, 40}, false)) {
    const int64_t head_dim = grid.columns == 128 ? 64 : 20;
    OpCase one{.name = grid.name(), .op = Op::kRope, .params = RopeParams{head_dim}};
    HostTensor positions(DType::kI32, {grid.rows});
    for (int64_t row = 0; row < grid.rows; ++row)
      positions.set(row, static_cast<double>(random() % 131072));
    one.inputs = {normal_tensor(grid.dtype, {grid.rows, grid.columns}, 16, random), positions,
                  inverse_frequencies(head_dim)};
    one.outputs = {{grid.output, {grid.rows, grid.columns}, grid.padding}};
    one.expected = {{.values = rotated(one.inputs[0], positions, one.inputs[2])}};
    cases.push_back(one);
  }
  return cases;
}

}  // namespace octavo::testing_ops

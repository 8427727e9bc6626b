// Cases of linear with scales by channel, block and token, and with integer codes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/checked.h"
#include "moe_cases.h"
#include "numerics/integer_codes.h"

namespace octavo::testing_ops {

struct BlockGrid {
  int64_t rows;
  int64_t out;
  int64_t in;
  DType x;
  DType weight;
  int64_t block_rows;
  int64_t block_columns;
  int64_t input_groups;  // scales of a row of x; 0: x has none

  std::string name() const {
    return fmt::format("{}x{}x{} {} · {} block {}x{}, {} input scales", rows, in, out, to_string(x),
                       to_string(weight), block_rows, block_columns, input_groups);
  }
};

inline std::vector<BlockGrid> block_grid() {
  const DType kF8 = DType::kE4M3, kBf16 = DType::kBF16;
  std::vector<BlockGrid> grid;
  for (const int64_t rows : {0, 1, 3, 33, 200}) {
    for (const int64_t in : {1, 128, 300}) {
      const int64_t groups = ceil_div(in, 128);
      grid.push_back({rows, 35, in, kF8, kF8, 1, 0, 1});            // per channel, per token
      grid.push_back({rows, 35, in, DType::kF32, kF8, 1, 0, 0});    // per channel, 16 bit
      grid.push_back({rows, 35, in, kF8, kF8, 0, 0, 1});            // per tensor, per token
      grid.push_back({rows, 260, in, kF8, kF8, 128, 128, groups});  // blocks
      grid.push_back({rows, 130, in, kF8, kF8, 128, 128, 1});       // blocks, per token
      grid.push_back({rows, 35, in, kBf16, DType::kI8, 1, 0, 0});   // 8-bit integers
      grid.push_back({rows, 35, in, DType::kF32, DType::kI8, 1, 0, 0});
      grid.push_back({rows, 142, in, kBf16, DType::kI4x2, 1, 128, 0});  // 4-bit, grouped
      grid.push_back({rows, 142, in, DType::kF32, DType::kI4x2, 1, 0, 0});
    }
  }
  return grid;
}

// The code of one element of the weight.
inline double weight_code(const HostTensor& weight, int64_t row, int64_t k, int64_t depth) {
  if (weight.dtype() != DType::kI4x2) return weight.get(row * depth + k);
  const auto pair = static_cast<uint8_t>(static_cast<int8_t>(weight.get(row / 2 * depth + k)));
  return unpack_int4(pair, static_cast<int>(row % 2));
}

// Interval of one output: a rounding a product and one an addition, in any order; a part of K then
// rounds with the product of its scales, its application and its addition to the others.
// `expert` is the matrix of a stack.
inline Interval block_output(const OpCase& one, const BlockGrid& grid, int64_t row, int64_t column,
                             int64_t expert = 0) {
  const int64_t width = grid.block_columns == 0 ? grid.in : grid.block_columns;
  const int64_t parts = ceil_div(grid.in, width);
  const HostTensor& input_scale = one.inputs[2];
  const HostTensor& weight_scale = one.inputs[3];
  double total = 0, absolute = 0;
  for (int64_t k = 0; k < grid.in; ++k) {
    const int64_t part = k / width;
    double scale = grid.block_rows == 0
                       ? weight_scale.get(expert)
                       : weight_scale.get((expert * ceil_div(grid.out, grid.block_rows) +
                                           column / grid.block_rows) *
                                              parts +
                                          part);
    if (grid.input_groups > 0)
      scale *= input_scale.get(row * grid.input_groups + (grid.input_groups == 1 ? 0 : part));
    const double product = one.inputs[0].get(row * grid.in + k) *
                           weight_code(one.inputs[1], expert * grid.out + column, k, grid.in) *
                           scale;
    total += product;
    absolute += std::abs(product);
  }
  const bool biased = one.op == Op::kLinear && one.inputs[4].present();
  const double bias = biased ? one.inputs[4].get(column) : 0.0;
  const double roundings = 2.0 * static_cast<double>(grid.in) + 3.0 + static_cast<double>(parts);
  return Interval::around(total + bias, roundings * kUnit * (absolute + std::abs(bias)));
}

inline HostTensor random_codes(const BlockGrid& grid, std::mt19937& random) {
  const Shape shape = {ceil_div(grid.out, rows_in_row(grid.weight)), grid.in};
  if (grid.weight == DType::kE4M3) return normal_tensor(grid.weight, shape, 0, random, 40.0);
  HostTensor codes(grid.weight, shape);
  std::uniform_int_distribution<int> byte(-128, 127);
  for (int64_t i = 0; i < codes.elements(); ++i) codes.set(i, byte(random));
  return codes;
}

inline HostTensor random_scales(Shape shape, std::mt19937& random) {
  HostTensor scales(DType::kF32, shape);
  std::uniform_real_distribution<double> exponent(-8.0, 0.0);
  for (int64_t i = 0; i < scales.elements(); ++i) scales.set(i, std::exp2(exponent(random)));
  return scales;
}

inline OpCase block_linear_case(const BlockGrid& grid, std::mt19937& random) {
  const int64_t parts = grid.block_columns == 0 ? 1 : ceil_div(grid.in, grid.block_columns);
  const Shape scale_shape =
      grid.block_rows == 0 ? Shape{1} : Shape{ceil_div(grid.out, grid.block_rows), parts};
  OpCase one{.name = grid.name(), .op = Op::kLinear};
  one.params = LinearParams{.block_rows = grid.block_rows, .block_columns = grid.block_columns};
  const int64_t gap = grid.in == 300 ? 5 : 0;
  one.inputs = {
      normal_tensor(grid.x, {grid.rows, grid.in}, gap, random, grid.x == DType::kE4M3 ? 40.0 : 1.0),
      random_codes(grid, random),
      grid.input_groups > 0 ? random_scales({grid.rows, grid.input_groups}, random) : HostTensor(),
      random_scales(scale_shape, random),
      grid.in == 128 ? normal_tensor(DType::kBF16, {grid.out}, 0, random) : HostTensor()};
  one.outputs = {{grid.in == 128 ? DType::kBF16 : DType::kF32, {grid.rows, grid.out}, gap}};
  Expected expected;
  for (int64_t row = 0; row < grid.rows; ++row) {
    for (int64_t column = 0; column < grid.out; ++column)
      expected.values.push_back(block_output(one, grid, row, column));
  }
  one.expected = {expected};
  return one;
}

inline std::vector<OpCase> block_linear_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(12);
  for (const BlockGrid& grid : block_grid()) cases.push_back(block_linear_case(grid, random));
  return cases;
}

// The same for stacks of weights: what grouped_linear takes of a mixture of experts.
inline OpCase grouped_block_case(const MoeGrid& moe, BlockGrid grid, std::mt19937& random) {
  const Routing routing(moe, random);
  grid.rows = routing.count();
  const int64_t parts = grid.block_columns == 0 ? 1 : ceil_div(grid.in, grid.block_columns);
  const Shape scale_shape = grid.block_rows == 0
                                ? Shape{kExperts}
                                : Shape{kExperts, ceil_div(grid.out, grid.block_rows), parts};
  BlockGrid stack = grid;
  stack.out *= kExperts;
  HostTensor codes = random_codes(stack, random);
  HostTensor weight(grid.weight, {kExperts, codes.shape()[0] / kExperts, grid.in});
  for (int64_t i = 0; i < codes.elements(); ++i) weight.set(i, codes.get(i));
  OpCase one{.name = moe.name() + " " + grid.name(), .op = Op::kGroupedLinear};
  one.params = LinearParams{.block_rows = grid.block_rows, .block_columns = grid.block_columns};
  one.inputs = {
      normal_tensor(grid.x, {grid.rows, grid.in}, 5, random, grid.x == DType::kE4M3 ? 40.0 : 1.0),
      weight,
      grid.input_groups > 0 ? random_scales({grid.rows, grid.input_groups}, random) : HostTensor(),
      random_scales(scale_shape, random), routing.offsets};
  one.outputs = {{DType::kF32, {grid.rows, grid.out}, 5}};
  Expected expected;
  for (int64_t row = 0; row < grid.rows; ++row) {
    const int64_t expert = routing.expert_of(row);
    for (int64_t column = 0; column < grid.out; ++column)
      expected.values.push_back(expert < 0 ? Interval::exactly(0.0)
                                           : block_output(one, grid, row, column, expert));
  }
  one.expected = {expected};
  return one;
}

inline std::vector<OpCase> grouped_block_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(14);
  for (const BlockGrid& grid : block_grid()) {
    if (grid.rows != 0 || grid.in == 1) continue;  // routing tells the rows
    for (const int64_t tokens : {0, 1, 33})
      cases.push_back(grouped_block_case({tokens, 2, grid.x}, grid, random));
  }
  return cases;
}

// Codes and scales made from the data: both exact.
inline OpCase quantize_dynamic_case(int64_t rows, int64_t columns, DType type, int64_t group,
                                    bool clamped, std::mt19937& random) {
  const int64_t width = group == 0 ? columns : group;
  const int64_t groups = ceil_div(columns, width);
  QuantizeParams params{.group = group};
  if (clamped) params.clamp_low = -1.5f, params.clamp_high = 2.0f;
  OpCase one{.name = fmt::format("{}x{} {} by {}{}", rows, columns, to_string(type), group,
                                 clamped ? " clamped" : ""),
             .op = Op::kQuantizeDynamic,
             .params = params};
  HostTensor x = normal_tensor(type, {rows, columns}, columns % 2 == 0 ? 0 : 5, random, 2.0);
  const std::vector<double> special = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-30, 3e38, -3e38};
  for (int64_t i = 0; i < x.elements() && i < std::ssize(special); ++i) x.set(i, special[i]);
  // A row of zeros, whose scale is 1.
  for (int64_t k = 0; rows > 2 && k < columns; ++k) x.set(2 * columns + k, 0.0);
  Expected scales, codes;
  HostTensor y(DType::kE4M3, {rows, columns});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t begin = 0; begin < columns; begin += width) {
      const int64_t end = std::min(columns, begin + width);
      const auto value = [&](int64_t k) {
        const auto raw = static_cast<float>(x.get(row * columns + k));
        return std::isnan(raw) ? raw : std::clamp(raw, params.clamp_low, params.clamp_high);
      };
      float amax = 0.0f;
      for (int64_t k = begin; k < end; ++k) amax = std::fmax(amax, std::fabs(value(k)));
      const float scale = safe_scale(amax);
      scales.values.push_back(Interval::exactly(scale));
      for (int64_t k = begin; k < end; ++k)
        codes.values.push_back(
            Interval::exactly(to_float(quantize(value(k), inverse_scale(scale)))));
    }
  }
  one.inputs = {x};
  one.outputs = {HostTensor(DType::kF32, {rows, groups}), y};
  one.expected = {scales, codes};
  return one;
}

inline std::vector<OpCase> quantize_dynamic_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(13);
  for (const int64_t rows : {0, 1, 33}) {
    for (const int64_t columns : {1, 33, 256, 300}) {
      for (const DType type : {DType::kF32, DType::kBF16}) {
        for (const int64_t group : {int64_t{0}, int64_t{128}}) {
          for (const bool clamped : {false, true})
            cases.push_back(quantize_dynamic_case(rows, columns, type, group, clamped, random));
        }
      }
    }
  }
  return cases;
}

}  // namespace octavo::testing_ops

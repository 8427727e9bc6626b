// Cases of the ops that a mixture of experts is made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elementwise_cases.h"

namespace octavo::testing_ops {

inline constexpr int64_t kExperts = 5;

struct MoeGrid {
  int64_t tokens;
  int64_t top_k;
  DType dtype;

  std::string name() const {
    return fmt::format("{} tokens, {} of {} experts, {}", tokens, top_k, kExperts,
                       to_string(dtype));
  }
};

inline std::vector<MoeGrid> moe_grid() {
  std::vector<MoeGrid> grid;
  for (const int64_t tokens : {0, 1, 31, 33}) {
    for (const int64_t top_k : {1, 2, 5}) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) grid.push_back({tokens, top_k, dtype});
    }
  }
  return grid;
}

// Where tokens go: what route and permute would write. Every seventh token has no expert, and
// expert 3 has no token unless each token has all.
struct Routing {
  HostTensor experts, rows, offsets;
  std::vector<int64_t> token_of_row;  // -1: none

  explicit Routing(const MoeGrid& grid, std::mt19937& random)
      : experts(DType::kI32, {grid.tokens, grid.top_k}),
        rows(DType::kI32, {grid.tokens, grid.top_k}),
        offsets(DType::kI32, {kExperts + 1}),
        token_of_row(static_cast<size_t>(grid.tokens * grid.top_k), -1) {
    for (int64_t token = 0; token < grid.tokens; ++token) {
      std::vector<int> order =
          grid.top_k == kExperts ? std::vector{0, 1, 2, 3, 4} : std::vector{0, 1, 2, 4};
      std::shuffle(order.begin(), order.end(), random);
      for (int64_t i = 0; i < grid.top_k; ++i) {
        experts.set(token * grid.top_k + i, token % 7 == 6 ? -1 : order[i]);
        rows.set(token * grid.top_k + i, -1);
      }
    }
    int64_t next = 0;
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      offsets.set(expert, static_cast<double>(next));
      for (int64_t i = 0; i < experts.elements(); ++i) {
        if (static_cast<int64_t>(experts.get(i)) != expert) continue;
        token_of_row[static_cast<size_t>(next)] = i / grid.top_k;
        rows.set(i, static_cast<double>(next++));
      }
    }
    offsets.set(kExperts, static_cast<double>(next));
  }

  int64_t count() const { return static_cast<int64_t>(token_of_row.size()); }
  int64_t expert_of(int64_t row) const {
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      if (row >= offsets.get(expert) && row < offsets.get(expert + 1)) return expert;
    }
    return -1;
  }
};

inline Expected exactly_those_of(const HostTensor& tensor) {
  Expected expected;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    expected.values.push_back(Interval::exactly(tensor.get(i)));
  return expected;
}

// One token's weights: the exponential of a rounded difference within two units, the sum and the
// quotient.
inline void expect_route(const OpCase& one, int64_t token, Expected& experts, Expected& weights) {
  const auto& params = std::get<RouteParams>(one.params);
  const int64_t count = one.inputs[0].shape()[1];
  std::vector<int64_t> order(static_cast<size_t>(count));
  for (int64_t e = 0; e < count; ++e) order[static_cast<size_t>(e)] = e;
  const auto logit = [&](int64_t e) { return one.inputs[0].get(token * count + e); };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return logit(a) > logit(b); });
  double sum = 0;
  for (int64_t e = 0; e < (params.normalize ? params.top_k : count); ++e)
    sum += std::exp(logit(order[static_cast<size_t>(e)]) - logit(order[0]));
  const bool padding = one.inputs[1].present() && one.inputs[1].get(token) < 0;
  for (int64_t i = 0; i < params.top_k; ++i) {
    const int64_t expert = order[static_cast<size_t>(i)];
    const double difference = logit(order[0]) - logit(order.back());
    const double weight = std::exp(logit(expert) - logit(order[0])) / sum;
    const double bound = weight * (2 * difference + 8 + static_cast<double>(count)) * kUnit;
    experts.values.push_back(Interval::exactly(padding ? -1.0 : static_cast<double>(expert)));
    weights.values.push_back(padding ? Interval::exactly(0.0) : Interval::around(weight, bound));
  }
}

inline std::vector<OpCase> route_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(20);
  for (const MoeGrid& grid : moe_grid()) {
    for (const bool normalize : {false, true}) {
      OpCase one{
          .name = grid.name(), .op = Op::kRoute, .params = RouteParams{grid.top_k, normalize}};
      HostTensor slots;
      if (normalize) {
        slots = HostTensor(DType::kI64, {grid.tokens});
        for (int64_t i = 0; i < grid.tokens; ++i) slots.set(i, i % 5 == 4 ? -1.0 : 100.0);
      }
      one.inputs = {normal_tensor(grid.dtype, {grid.tokens, kExperts}, 3, random, 2.0), slots};
      one.outputs = {{DType::kI32, {grid.tokens, grid.top_k}},
                     {DType::kF32, {grid.tokens, grid.top_k}}};
      one.expected.resize(2);
      for (int64_t token = 0; token < grid.tokens; ++token)
        expect_route(one, token, one.expected[0], one.expected[1]);
      cases.push_back(one);
    }
  }
  return cases;
}

inline std::vector<OpCase> permute_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(21);
  constexpr int64_t kColumns = 33;
  for (const MoeGrid& grid : moe_grid()) {
    const Routing routing(grid, random);
    OpCase one{.name = grid.name(), .op = Op::kPermute, .params = PermuteParams{kExperts}};
    one.inputs = {normal_tensor(grid.dtype, {grid.tokens, kColumns}, 3, random), routing.experts};
    one.outputs = {{DType::kI32, routing.rows.shape()},
                   {DType::kI32, {kExperts + 1}},
                   {grid.dtype, {routing.count(), kColumns}, 3}};
    Expected copies;
    for (const int64_t token : routing.token_of_row) {
      for (int64_t i = 0; i < kColumns; ++i)
        copies.values.push_back(
            Interval::exactly(token < 0 ? 0.0 : one.inputs[0].get(token * kColumns + i)));
    }
    one.expected = {exactly_those_of(routing.rows), exactly_those_of(routing.offsets), copies};
    cases.push_back(one);
  }
  return cases;
}

inline std::vector<OpCase> combine_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(22);
  constexpr int64_t kColumns = 33;
  for (const MoeGrid& grid : moe_grid()) {
    const Routing routing(grid, random);
    OpCase one{.name = grid.name(), .op = Op::kCombine};
    one.inputs = {normal_tensor(grid.dtype, {routing.count(), kColumns}, 3, random), routing.rows,
                  normal_tensor(DType::kF32, routing.rows.shape(), 0, random)};
    one.outputs = {{grid.dtype, {grid.tokens, kColumns}, 3}};
    Expected expected;
    for (int64_t i = 0; i < grid.tokens * kColumns; ++i) {
      double sum = 0, absolute = 0;
      for (int64_t k = 0; k < grid.top_k; ++k) {
        const int64_t choice = i / kColumns * grid.top_k + k;
        const auto row = static_cast<int64_t>(routing.rows.get(choice));
        if (row < 0) continue;
        const double x = one.inputs[0].get(row * kColumns + i % kColumns);
        sum += one.inputs[2].get(choice) * x;
        absolute += std::abs(one.inputs[2].get(choice) * x);
      }
      // A product and a sum an expert.
      const double bound = absolute * 2 * static_cast<double>(grid.top_k) * kUnit;
      expected.values.push_back(Interval::around(sum, bound));
    }
    one.expected = {expected};
    cases.push_back(one);
  }
  return cases;
}

inline HostTensor scales_of_experts(int64_t count) {
  HostTensor scales(DType::kF32, {count});
  for (int64_t i = 0; i < count; ++i) scales.set(i, 0.01 * static_cast<double>(1 + i));
  return scales;
}

// Of grouped_quantize and grouped_swiglu.
inline std::vector<OpCase> grouped_codes_cases(Op op) {
  std::vector<OpCase> cases;
  std::mt19937 random(23);
  constexpr int64_t kColumns = 33;
  for (const MoeGrid& grid : moe_grid()) {
    const Routing routing(grid, random);
    const Shape shape{routing.count(), kColumns};
    const HostTensor scales = scales_of_experts(kExperts);
    OpCase one{.name = grid.name(), .op = op};
    one.inputs = {normal_tensor(grid.dtype, shape, 3, random)};
    const bool swiglu = op == Op::kGroupedSwiglu;
    if (swiglu) one.inputs.push_back(normal_tensor(grid.dtype, shape, 3, random));
    one.inputs.push_back(scales);
    one.inputs.push_back(routing.offsets);
    one.outputs = {{DType::kE4M3, shape, 3}};
    // A value is rounded with its own expert's scale: the ends are codes already.
    Expected codes;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const int64_t expert = routing.expert_of(i / kColumns);
      if (expert < 0) {
        codes.values.push_back(Interval::exactly(0.0));
        continue;
      }
      const double x = one.inputs[0].get(i);
      const double value = swiglu ? x / (1.0 + std::exp(-x)) * one.inputs[1].get(i) : x;
      const double bound = swiglu ? std::abs(value) * 8 * kUnit : 0.0;
      const Expected rounding{
          .intermediate = grid.dtype,
          .inverse_scale = inverse_scale(static_cast<float>(scales.get(expert)))};
      codes.values.push_back({rounding.rounded(DType::kE4M3, value - bound),
                              rounding.rounded(DType::kE4M3, value + bound)});
    }
    one.expected = {codes};
    cases.push_back(one);
  }
  return cases;
}

struct GroupedLinearGrid {
  MoeGrid moe;
  int64_t in;
  DType weight;
};

inline Interval grouped_output(const OpCase& one, const Routing& routing, int64_t row,
                               int64_t column) {
  const int64_t expert = routing.expert_of(row);
  if (expert < 0) return Interval::exactly(0.0);
  const Shape& weight = one.inputs[1].shape();
  const int64_t depth = weight[2];
  double sum = 0, absolute = 0;
  for (int64_t k = 0; k < depth; ++k) {
    const double product = one.inputs[0].get(row * depth + k) *
                           one.inputs[1].get((expert * weight[1] + column) * depth + k);
    sum += product;
    absolute += std::abs(product);
  }
  double scale = 1.0;
  if (one.inputs[2].present())
    scale = one.inputs[2].get(expert) * one.inputs[3].get(2 * expert + (column < 17 ? 0 : 1));
  const double bound = (2.0 * static_cast<double>(depth) + 3) * kUnit * absolute * scale;
  return Interval::around(sum * scale, bound);
}

inline OpCase grouped_linear_case(const GroupedLinearGrid& grid, std::mt19937& random) {
  constexpr int64_t kOut = 35;
  const Routing routing(grid.moe, random);
  const bool quantized = grid.weight == DType::kE4M3;
  const DType x = quantized ? DType::kE4M3 : grid.moe.dtype;
  const double spread = quantized ? 40.0 : 1.0;
  OpCase one{
      .name = fmt::format("{}, {} columns, {}", grid.moe.name(), grid.in, to_string(grid.weight)),
      .op = Op::kGroupedLinear};
  one.params = quantized ? LinearParams{{17, 18}} : LinearParams{};
  one.inputs = {normal_tensor(x, {routing.count(), grid.in}, 5, random, spread),
                normal_tensor(grid.weight, {kExperts, kOut, grid.in}, 0, random, spread),
                quantized ? scales_of_experts(kExperts) : HostTensor(),
                quantized ? scales_of_experts(2 * kExperts) : HostTensor(), routing.offsets};
  one.outputs = {{grid.moe.dtype, {routing.count(), kOut}, 3}};
  Expected expected;
  for (int64_t row = 0; row < routing.count(); ++row) {
    for (int64_t column = 0; column < kOut; ++column)
      expected.values.push_back(grouped_output(one, routing, row, column));
  }
  one.expected = {expected};
  return one;
}

inline std::vector<OpCase> grouped_linear_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(24);
  for (const MoeGrid& moe : moe_grid()) {
    for (const int64_t in : {33, 256}) {
      for (const DType weight : {moe.dtype, DType::kE4M3})
        cases.push_back(grouped_linear_case({moe, in, weight}, random));
    }
  }
  return cases;
}

}  // namespace octavo::testing_ops

// Cases of grouped_linear_swiglu: sums that are exact in every order, as those of linear_swiglu.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "linear_swiglu_cases.h"
#include "moe_cases.h"

namespace octavo::testing_ops {

// Powers of two, another for each expert and half.
inline HostTensor powers_of_two(int64_t count, int first) {
  HostTensor scales(DType::kF32, {count});
  for (int64_t i = 0; i < count; ++i)
    scales.set(i, std::ldexp(1.0, first - static_cast<int>(i % 3)));
  return scales;
}

inline OpCase grouped_linear_swiglu_case(const MoeGrid& moe, int64_t in, DType operand,
                                         std::mt19937& random) {
  constexpr int64_t kColumns = 20;
  const Routing routing(moe, random);
  const bool quantized = operand == DType::kE4M3;
  OpCase one{.name = fmt::format("{}, {} columns, {}", moe.name(), in, to_string(operand)),
             .op = Op::kGroupedLinearSwiglu};
  one.params =
      LinearParams{quantized ? std::vector<int64_t>{kColumns, kColumns} : std::vector<int64_t>{}};
  const HostTensor x = small_integers(operand, {routing.count(), in}, 16, random);
  const HostTensor weight = small_integers(operand, {kExperts, 2 * kColumns, in}, 0, random);
  const HostTensor input_scale = quantized ? powers_of_two(kExperts, -2) : HostTensor();
  const HostTensor weight_scale = quantized ? powers_of_two(2 * kExperts, -1) : HostTensor();
  const HostTensor output_scale = scales_of_experts(kExperts);
  one.inputs = {x, weight, input_scale, weight_scale, routing.offsets, output_scale};
  one.outputs = {{DType::kE4M3, {routing.count(), kColumns}, 8}};
  const auto half = [&](int64_t row, int64_t expert, int64_t column) {
    double sum = 0;
    for (int64_t k = 0; k < in; ++k)
      sum += x.get(row * in + k) * weight.get((expert * 2 * kColumns + column) * in + k);
    if (quantized)
      sum *= input_scale.get(expert) * weight_scale.get(2 * expert + (column < kColumns ? 0 : 1));
    return round_to(DType::kBF16, sum);
  };
  Expected codes;
  for (int64_t i = 0; i < routing.count() * kColumns; ++i) {
    const int64_t row = i / kColumns, expert = routing.expert_of(row);
    if (expert < 0) {
      codes.values.push_back(Interval::exactly(0.0));
      continue;
    }
    const double gate = half(row, expert, i % kColumns);
    const double value =
        gate / (1.0 + std::exp(-gate)) * half(row, expert, kColumns + i % kColumns);
    const double bound = std::abs(value) * 8 * kUnit;
    const Expected rounding{
        .intermediate = DType::kBF16,
        .inverse_scale = inverse_scale(static_cast<float>(output_scale.get(expert)))};
    codes.values.push_back({rounding.rounded(DType::kE4M3, value - bound),
                            rounding.rounded(DType::kE4M3, value + bound)});
  }
  one.expected = {codes};
  return one;
}

inline std::vector<OpCase> grouped_linear_swiglu_cases() {
  std::vector<OpCase> cases;
  std::mt19937 random(37);
  for (const int64_t tokens : {0, 1, 33}) {
    for (const int64_t in : {16, 33}) {
      for (const DType operand : {DType::kF32, DType::kBF16, DType::kE4M3})
        cases.push_back(grouped_linear_swiglu_case({tokens, 2, DType::kBF16}, in, operand, random));
    }
  }
  return cases;
}

}  // namespace octavo::testing_ops

// The two calls of an add_rms_norm_linear: every operand of the whole stands where its part wants
// it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

// Operands that are told apart by their rows.
struct Numbered {
  std::vector<TensorView> inputs, outputs;
  OpParams params = NormLinearParams{.epsilon = 0.5f, .segment_rows = {3, 4}};

  explicit Numbered(bool swiglu) {
    for (int64_t i = 0; i < 8; ++i) inputs.push_back(view(i));
    if (!swiglu) inputs[7] = {};
    outputs = {view(8), view(9)};
  }
  static TensorView view(int64_t number) { return {nullptr, DType::kF32, {number, 1}}; }
};

using Rows = std::vector<int64_t>;

Rows rows_of(std::span<const TensorView> views) {
  Rows rows;
  for (const TensorView& view : views) rows.push_back(view.shape[0]);
  return rows;
}

Rows rows_of(const std::vector<Problem::Operand>& operands) {
  Rows rows;
  for (const Problem::Operand& operand : operands) rows.push_back(operand.shape[0]);
  return rows;
}

TEST(AddRmsNormLinear, PartsHaveTheirOperands) {
  for (const bool swiglu : {false, true}) {
    const Numbered whole(swiglu);
    const NormThenLinear parts(
        {.inputs = whole.inputs, .outputs = whole.outputs, .params = &whole.params},
        Numbered::view(99));
    EXPECT_EQ(rows_of(parts.norm().inputs), (Rows{0, 1, 2, 4}));
    EXPECT_EQ(rows_of(parts.norm().outputs), (Rows{8, 99}));
    EXPECT_EQ(std::get<RmsNormParams>(*parts.norm().params).epsilon, 0.5f);
    EXPECT_EQ(rows_of(parts.linear().inputs),
              swiglu ? (Rows{99, 3, 4, 5, 6, 7}) : (Rows{99, 3, 4, 5, 6}));
    EXPECT_EQ(rows_of(parts.linear().outputs), Rows{9});
    EXPECT_EQ(std::get<LinearParams>(*parts.linear().params).segment_rows, (Rows{3, 4}));
  }
}

TEST(AddRmsNormLinear, PartsAreAskedAsTheyRun) {
  for (const bool swiglu : {false, true}) {
    const Numbered numbered(swiglu);
    Problem whole{.op = Op::kAddRmsNormLinear, .params = numbered.params};
    for (const TensorView& view : numbered.inputs)
      whole.inputs.push_back({view.shape, view.dtype, view.shape.rank() > 0});
    for (const TensorView& view : numbered.outputs)
      whole.outputs.push_back({view.shape, view.dtype, true});
    const Problem norm = norm_part(whole), linear = linear_part(whole);
    EXPECT_EQ(norm.op, Op::kAddRmsNorm);
    EXPECT_EQ(rows_of(norm.inputs), (Rows{0, 1, 2, 4}));
    EXPECT_EQ(rows_of(norm.outputs), (Rows{8, 0}));
    EXPECT_EQ(norm.outputs[1].dtype, DType::kE4M3);
    EXPECT_EQ(linear.op, swiglu ? Op::kLinearSwiglu : Op::kLinear);
    EXPECT_EQ(rows_of(linear.inputs), swiglu ? (Rows{0, 3, 4, 5, 6, 7}) : (Rows{0, 3, 4, 5, 6}));
    EXPECT_EQ(linear.inputs[0].dtype, DType::kE4M3);
    EXPECT_EQ(rows_of(linear.outputs), Rows{9});
  }
}

TEST(AddRmsNormLinear, CodesAreRoundedUp) {
  EXPECT_EQ(between_bytes({1, 1}), 256);
  EXPECT_EQ(between_bytes({3, 256}), 768);
}

}  // namespace
}  // namespace octavo

// Calls have the operands of their op, and outputs of the shapes that follow.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "ops/op.h"

namespace octavo {
namespace {

OperandSpec rows_of(int64_t columns) {
  return {{Dim::of(Symbol::kTokens), Dim::constant(columns)}, DType::kBF16, true};
}

std::string message_of(Op op, const std::vector<OperandSpec>& inputs,
                       const std::vector<OperandSpec>& outputs, const OpParams& params = {}) {
  try {
    check_call(op, inputs, outputs, params);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    return error.what();
  }
  return "";
}

TEST(CheckCall, OutputsHaveTheShapesThatFollow) {
  EXPECT_EQ(message_of(Op::kAdd, {rows_of(8), rows_of(8)}, {rows_of(8)}), "");
  EXPECT_EQ(message_of(Op::kAdd, {rows_of(8), rows_of(8)}, {rows_of(7)}),
            "[add] y: expected [tokens, 8], got [tokens, 7]");
  EXPECT_EQ(message_of(Op::kSend, {rows_of(8)}, {}), "");
  EXPECT_EQ(message_of(Op::kRecv, {}, {rows_of(8)}, RecvParams{8}), "");
  EXPECT_NE(message_of(Op::kRecv, {}, {rows_of(8)}, RecvParams{9}), "");
}

TEST(CheckCall, OperandsAreCounted) {
  EXPECT_EQ(message_of(Op::kAdd, {rows_of(8)}, {rows_of(8)}),
            "[add] expected 2 inputs and 1 outputs, got 1 and 1");
  EXPECT_EQ(message_of(Op::kAdd, {rows_of(8), {{}, DType::kF32, false}}, {rows_of(8)}),
            "[add] b: expected a tensor, got none");
}

}  // namespace
}  // namespace octavo

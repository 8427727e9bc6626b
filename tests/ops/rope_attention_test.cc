// The two calls of a rope_attention: every operand of the whole stands where its part wants it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

// Operands that are told apart by their rows, named as the ops name them.
struct Named {
  std::vector<TensorView> inputs, outputs;
  OpParams params = AttentionParams{.num_heads = 4, .num_kv_heads = 2, .head_dim = 8, .window = 5};

  Named() {
    const OpInfo& info = op_info(Op::kRopeAttention);
    for (size_t i = 0; i < info.inputs.size(); ++i) inputs.push_back(view(i));
    for (size_t i = 0; i < info.outputs.size(); ++i)
      outputs.push_back(view(info.inputs.size() + i));
  }
  static TensorView view(size_t number) {
    return {nullptr, DType::kF32, {static_cast<int64_t>(number) + 1, 1}};
  }
  std::string name_of(const Shape& shape) const {
    const OpInfo& info = op_info(Op::kRopeAttention);
    const auto number = static_cast<size_t>(shape[0]) - 1;
    if (number < inputs.size()) return std::string(info.inputs[number].name);
    if (number < inputs.size() + outputs.size())
      return std::string(info.outputs[number - inputs.size()].name);
    return "between";
  }
};

std::vector<std::string> names(const std::vector<OperandName>& operands) {
  std::vector<std::string> found;
  for (const OperandName& operand : operands) found.emplace_back(operand.name);
  return found;
}

TEST(RopeAttention, PartsHaveTheirOperands) {
  const Named whole;
  const TensorView between = Named::view(99);
  const RopeThenAttention parts(
      {.inputs = whole.inputs, .outputs = whole.outputs, .params = &whole.params}, between);
  const auto names_of = [&](std::span<const TensorView> views) {
    std::vector<std::string> found;
    for (const TensorView& view : views) found.push_back(whole.name_of(view.shape));
    return found;
  };
  EXPECT_EQ(names_of(parts.rope().inputs), names(op_info(Op::kRopeKvAppend).inputs));
  EXPECT_EQ(names_of(parts.rope().outputs),
            (std::vector<std::string>{"between", "k_cache", "v_cache"}));
  EXPECT_EQ(std::get<RopeParams>(*parts.rope().params).head_dim, 8);
  std::vector<std::string> attention = names(op_info(Op::kAttention).inputs);
  attention[0] = "between";
  EXPECT_EQ(names_of(parts.attention().inputs), attention);
  EXPECT_EQ(names_of(parts.attention().outputs), names(op_info(Op::kAttention).outputs));
  EXPECT_EQ(parts.attention().params, &whole.params);
}

TEST(RopeAttention, PartsAreAskedAsTheyRun) {
  const Named named;
  Problem whole{.op = Op::kRopeAttention, .params = named.params};
  for (const TensorView& view : named.inputs)
    whole.inputs.push_back({view.shape, view.dtype, true});
  for (const TensorView& view : named.outputs)
    whole.outputs.push_back({view.shape, view.dtype, true});
  const auto names_of = [&](const std::vector<Problem::Operand>& operands) {
    std::vector<std::string> found;
    for (const Problem::Operand& operand : operands) found.push_back(named.name_of(operand.shape));
    return found;
  };
  const Problem rope = rope_part(whole), attention = attention_part(whole);
  EXPECT_EQ(rope.op, Op::kRopeKvAppend);
  EXPECT_EQ(names_of(rope.inputs), names(op_info(Op::kRopeKvAppend).inputs));
  EXPECT_EQ(names_of(rope.outputs), (std::vector<std::string>{"q", "k_cache", "v_cache"}));
  EXPECT_EQ(attention.op, Op::kAttention);
  EXPECT_EQ(names_of(attention.inputs), names(op_info(Op::kAttention).inputs));
  EXPECT_EQ(names_of(attention.outputs), names(op_info(Op::kAttention).outputs));
  EXPECT_EQ(std::get<AttentionParams>(attention.params).window, 5);
}

}  // namespace
}  // namespace octavo

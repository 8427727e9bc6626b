// Copies of tokens: how rows of tokens × top_k belong to tokens.
// SPDX-License-Identifier: Apache-2.0
#include "ops/moe_rules.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

OperandSpec rows(const Dim& count, int64_t columns, DType dtype = DType::kBF16) {
  return {{count, Dim::constant(columns)}, dtype, true};
}

TEST(MoeRules, RowsOfTokensTimesTopK) {
  const Dim tokens = Dim::of(Symbol::kTokens);
  const std::vector<OperandSpec> in = {rows(tokens, 64), rows(tokens, 2, DType::kI32)};
  const auto shapes = infer_permute(in, PermuteParams{8});
  EXPECT_EQ(to_string(shapes[0]), "[tokens, 2]");
  EXPECT_EQ(to_string(shapes[1]), "[9]");
  EXPECT_EQ(to_string(shapes[2]), "[tokens_top_k(2), 64]");
  EXPECT_EQ(evaluate(shapes[2], {.tokens = 7}), (Shape{14, 64}));
}

TEST(MoeRules, OnlyTokensAreRouted) {
  const Dim others = Dim::of(Symbol::kLogitRows);
  const std::vector<OperandSpec> in = {rows(others, 64), rows(others, 2, DType::kI32)};
  EXPECT_THROW(infer_permute(in, PermuteParams{8}), Error);
}

TEST(MoeRules, CombineWantsTopKRowsAToken) {
  const Dim tokens = Dim::of(Symbol::kTokens);
  std::vector<OperandSpec> in = {rows(Dim::tokens_top_k(2), 64), rows(tokens, 2, DType::kI32),
                                 rows(tokens, 2, DType::kF32)};
  EXPECT_EQ(to_string(infer_combine(in, {}).front()), "[tokens, 64]");
  in[0].shape[0] = Dim::tokens_top_k(3);
  EXPECT_THROW(infer_combine(in, {}), Error);
}

// Scales of a stack: by channel, by block, and by row of x.
TEST(MoeRules, ScalesOfStackedWeights) {
  const auto of = [](Shape shape, DType dtype) {
    SymbolicShape dims;
    for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(Dim::constant(shape[axis]));
    return OperandSpec{dims, dtype, true};
  };
  const Dim copies = Dim::tokens_top_k(2);
  std::vector<OperandSpec> in = {rows(copies, 256, DType::kE4M3), of({4, 300, 256}, DType::kE4M3),
                                 rows(copies, 1, DType::kF32), of({4, 300, 1}, DType::kF32),
                                 of({5}, DType::kI32)};
  EXPECT_EQ(to_string(infer_grouped_linear(in, LinearParams{.block_rows = 1}).front()),
            "[tokens_top_k(2), 300]");
  const LinearParams blocks{.block_rows = 128, .block_columns = 128};
  EXPECT_THROW(infer_grouped_linear(in, blocks), Error);
  in[2] = rows(copies, 2, DType::kF32), in[3] = of({4, 3, 2}, DType::kF32);
  EXPECT_NO_THROW(infer_grouped_linear(in, blocks));
  in[0] = rows(copies, 256), in[2] = {{}, DType::kF32, false};
  in[1] = of({4, 150, 256}, DType::kI4x2), in[3] = of({4, 300, 2}, DType::kF32);
  const LinearParams groups{.block_rows = 1, .block_columns = 128};
  EXPECT_EQ(to_string(infer_grouped_linear(in, groups).front()), "[tokens_top_k(2), 300]");
  in[3] = of({4, 150, 2}, DType::kF32);
  EXPECT_THROW(infer_grouped_linear(in, groups), Error);
}

TEST(MoeRules, MoreChoicesThanExperts) {
  const std::vector<OperandSpec> in = {rows(Dim::of(Symbol::kTokens), 4, DType::kF32),
                                       {{}, DType::kF32, false}};
  EXPECT_NO_THROW(infer_route(in, RouteParams{.top_k = 4}));
  EXPECT_THROW(infer_route(in, RouteParams{.top_k = 5}), Error);
  EXPECT_THROW(infer_route(in, RouteParams{.top_k = 0}), Error);
}

}  // namespace
}  // namespace octavo

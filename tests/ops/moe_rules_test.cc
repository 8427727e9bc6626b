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

TEST(MoeRules, MoreChoicesThanExperts) {
  const std::vector<OperandSpec> in = {rows(Dim::of(Symbol::kTokens), 4, DType::kF32),
                                       {{}, DType::kF32, false}};
  EXPECT_NO_THROW(infer_route(in, RouteParams{.top_k = 4}));
  EXPECT_THROW(infer_route(in, RouteParams{.top_k = 5}), Error);
  EXPECT_THROW(infer_route(in, RouteParams{.top_k = 0}), Error);
}

}  // namespace
}  // namespace octavo

// Symbolic sizes evaluate and print.
// SPDX-License-Identifier: Apache-2.0
#include "ops/dim.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

constexpr SymbolValues kValues{
    .tokens = 33, .sequences = 4, .logit_rows = 5, .cache_blocks = 100, .table_width = 7};

TEST(DimTest, EverySymbolHasItsValue) {
  EXPECT_EQ(evaluate(Dim::constant(12), kValues), 12);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kTokens), kValues), 33);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kSequences), kValues), 4);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kLogitRows), kValues), 5);
  EXPECT_EQ(evaluate(Dim::tokens_top_k(2), kValues), 66);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kCacheBlocks), kValues), 100);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kTableWidth), kValues), 7);
}

TEST(DimTest, SymbolsRoundUpToTheirMultiple) {
  EXPECT_EQ(evaluate(Dim::of(Symbol::kTokens, 16), kValues), 48);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kTokens, 33), kValues), 33);
  EXPECT_EQ(evaluate(Dim::of(Symbol::kTokens, 16), SymbolValues{}), 0);
}

TEST(DimTest, ShapesEvaluateAndPrint) {
  const SymbolicShape shape = {Dim::of(Symbol::kTokens), Dim::constant(4096)};
  EXPECT_EQ(evaluate(shape, kValues), (Shape{33, 4096}));
  EXPECT_EQ(to_string(shape), "[tokens, 4096]");
  EXPECT_EQ(to_string(SymbolicShape{Dim::of(Symbol::kLogitRows, 8)}), "[logit_rows/8]");
  EXPECT_EQ(to_string(SymbolicShape{}), "[]");
  EXPECT_EQ(evaluate(SymbolicShape{}, kValues), Shape{});
}

TEST(DimTest, Compares) {
  EXPECT_EQ(Dim::constant(3), Dim::constant(3));
  EXPECT_NE(Dim::constant(3), Dim::constant(4));
  EXPECT_NE(Dim::of(Symbol::kTokens), Dim::of(Symbol::kSequences));
  EXPECT_NE(Dim::of(Symbol::kTokens), Dim::of(Symbol::kTokens, 2));
}

}  // namespace
}  // namespace octavo

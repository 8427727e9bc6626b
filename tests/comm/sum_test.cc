// Rows that are summed, moved and cleared.
// SPDX-License-Identifier: Apache-2.0
#include "comm/sum.h"

#include <gtest/gtest.h>

#include <cmath>

#include "numerics/bf16.h"

namespace octavo {
namespace {

TEST(Sum, ColumnsAreAViewOfTheMatrix) {
  const Tensor matrix(DType::kF32, {3, 8});
  for (int i = 0; i < 24; ++i) matrix.as<float>()[i] = static_cast<float>(i);
  const TensorView columns = columns_of(matrix.view(), 2, 5);
  EXPECT_EQ(columns.shape, Shape({3, 3}));
  EXPECT_EQ(columns.row<float>(2)[0], 18.0f);
}

// 1 + 2⁻²⁴ rounds to 1 each time; the small ones first would sum to more.
TEST(Sum, TermsAreAddedInTheirOrder) {
  std::vector<Tensor> owned;
  std::vector<TensorView> terms;
  for (const float value : {1.0f, 0x1p-24f, 0x1p-24f}) {
    owned.emplace_back(DType::kF32, Shape{1, 1});
    *owned.back().as<float>() = value;
    terms.push_back(owned.back().view());
  }
  const Tensor sum(DType::kF32, {1, 1});
  sum_row(terms, 0, 0, std::span(&sum.view(), 1), 0);
  EXPECT_EQ(*sum.as<float>(), 1.0f);
  std::swap(terms[0], terms[2]);
  sum_row(terms, 0, 0, std::span(&sum.view(), 1), 0);
  EXPECT_EQ(*sum.as<float>(), 1.0f + 0x1p-23f);
}

TEST(Sum, SixteenBitSumsAreRoundedOnce) {
  const Tensor a(DType::kBF16, {1, 1}), b(DType::kBF16, {1, 1}), c(DType::kBF16, {1, 1});
  *a.as<bf16>() = to_bf16(1.0f);
  *b.as<bf16>() = *c.as<bf16>() = to_bf16(0x1p-9f);  // half of the last place of 1, once
  const Tensor sum(DType::kBF16, {1, 1});
  const std::vector<TensorView> terms = {a.view(), b.view(), c.view()};
  sum_row(terms, 0, 0, std::span(&sum.view(), 1), 0);
  EXPECT_EQ(to_float(*sum.as<bf16>()), to_float(to_bf16(1.0f + 0x1p-8f)));
}

TEST(Sum, RowsAreCopiedAndCleared) {
  const Tensor from(DType::kE4M3, {2, 3}), to(DType::kE4M3, {2, 3});
  for (int i = 0; i < 6; ++i) from.data()[i] = static_cast<std::byte>(i + 1);
  copy_row_bytes(from.view(), 1, to.view(), 0);
  EXPECT_EQ(to.data()[2], std::byte{6});
  EXPECT_EQ(to.data()[3], std::byte{0});
  zero_row(to.view(), 0);
  EXPECT_EQ(to.data()[0], std::byte{0});
}

}  // namespace
}  // namespace octavo

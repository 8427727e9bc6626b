// quantize_dynamic: a row alone, and scales of rows that hold no number.
// SPDX-License-Identifier: Apache-2.0
#include "ops/quantize_dynamic.h"

#include "backend/cpu/run_kernel.h"
#include "ops/block_linear_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(QuantizeDynamicTest, ThreadsAndNeighboursChangeNoByte) {
  std::mt19937 random(1);
  const HostTensor x = normal_tensor(DType::kBF16, {300, 130}, 0, random);
  const auto all = results(Op::kQuantizeDynamic, QuantizeParams{.group = 128}, {x},
                           {{DType::kF32, {300, 2}}, {DType::kE4M3, {300, 130}}});
  HostTensor one(DType::kBF16, {1, 130});
  for (int64_t k = 0; k < 130; ++k) one.set(k, x.get(299 * 130 + k));
  const auto alone = results(Op::kQuantizeDynamic, QuantizeParams{.group = 128}, {one},
                             {{DType::kF32, {1, 2}}, {DType::kE4M3, {1, 130}}});
  EXPECT_EQ(alone[0].get(1), all[0].get(299 * 2 + 1));
  for (int64_t k = 0; k < 130; ++k) EXPECT_EQ(alone[1].get(k), all[1].get(299 * 130 + k));
}

TEST(QuantizeDynamicTest, RowsOfNaNKeepAFiniteScale) {
  HostTensor x(DType::kF32, {2, 3});  // every element NaN
  x.set(3, INFINITY), x.set(4, -2.0), x.set(5, 0.0);
  const auto y = results(Op::kQuantizeDynamic, QuantizeParams{}, {x},
                         {{DType::kF32, {2, 1}}, {DType::kE4M3, {2, 3}}});
  EXPECT_EQ(y[0].get(0), 1.0);
  EXPECT_TRUE(std::isnan(y[1].get(0)));
  EXPECT_TRUE(std::isfinite(y[0].get(1)));
  EXPECT_EQ(y[1].get(3), 448.0);
}

}  // namespace
}  // namespace octavo

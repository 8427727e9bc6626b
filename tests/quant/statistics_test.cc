// Accumulation of calibration statistics.
// SPDX-License-Identifier: Apache-2.0
#include "quant/statistics.h"

#include <gtest/gtest.h>

#include <limits>

#include "numerics/bf16.h"

namespace octavo {
namespace {

Tensor floats(const std::vector<float>& values) {
  Tensor tensor(DType::kF32, {1, std::ssize(values)});
  std::copy(values.begin(), values.end(), tensor.as<float>());
  return tensor;
}

TensorStatistics statistics_of(const std::vector<float>& values) {
  return observe(floats(values).view()).statistics;
}

TEST(Statistics, AmaxAndExponents) {
  const TensorStatistics statistics = statistics_of({0.0f, -3.5f, 1.0f, 1.5f, 0.25f});
  EXPECT_EQ(statistics.amax, 3.5f);
  EXPECT_EQ(statistics.count, 5u);
  EXPECT_EQ(statistics.exponents[0], 1u);
  EXPECT_EQ(statistics.exponents[127], 2u);  // [1, 2)
  EXPECT_EQ(statistics.exponents[128], 1u);  // [2, 4)
  EXPECT_EQ(statistics.exponents[125], 1u);  // [0.25, 0.5)
}

TEST(Statistics, BothTypesAgree) {
  Tensor halves(DType::kBF16, {2, 2});
  const float values[] = {1.5f, -2.0f, 0.125f, 448.0f};
  for (int i = 0; i < 4; ++i) halves.as<bf16>()[i] = to_bf16(values[i]);
  const TensorStatistics a = observe(halves.view()).statistics;
  const TensorStatistics b = statistics_of({1.5f, -2.0f, 0.125f, 448.0f});
  EXPECT_EQ(a.amax, b.amax);
  EXPECT_EQ(a.exponents, b.exponents);
}

TEST(Statistics, NonFiniteValuesAreCountedAndLeftOut) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const ObservedTensor observed = observe(floats({nan, 2.0f, -inf, inf}).view());
  EXPECT_EQ(observed.nonfinite, 3u);
  EXPECT_EQ(observed.statistics.amax, 2.0f);
  EXPECT_EQ(observed.statistics.count, 1u);
  EXPECT_EQ(observed.statistics.exponents[255], 0u);
}

TEST(Statistics, RowsMayBeStrided) {
  const Tensor tensor = floats({1.0f, 100.0f, 2.0f, 200.0f});
  TensorView column(tensor.data(), DType::kF32, {2, 1});
  column.row_stride = 2;
  EXPECT_EQ(observe(column).statistics.amax, 2.0f);
}

TEST(Statistics, MergingIsOrderFree) {
  const std::vector<float> x = {1.0f, 7.0f}, y = {0.0f, -9.0f, 0.5f};
  TensorStatistics a = statistics_of(x), b = statistics_of(y);
  a.merge(statistics_of(y));
  b.merge(statistics_of(x));
  const TensorStatistics whole = statistics_of({1.0f, 7.0f, 0.0f, -9.0f, 0.5f});
  for (const TensorStatistics* merged : {&a, &b}) {
    EXPECT_EQ(merged->amax, whole.amax);
    EXPECT_EQ(merged->count, whole.count);
    EXPECT_EQ(merged->exponents, whole.exponents);
  }
}

TEST(Statistics, ShareAboveIsAnUpperBound) {
  const TensorStatistics statistics = statistics_of({1.0f, 1.75f, 4.0f, 16.0f});
  EXPECT_EQ(statistics.share_above(16.0f), 0.0);
  EXPECT_EQ(statistics.share_above(5.0f), 0.5);  // the whole bin of 4 to 8 counts
  EXPECT_EQ(statistics.share_above(1.5f), 1.0);
  EXPECT_EQ(TensorStatistics{}.share_above(1.0f), 0.0);
}

TEST(Statistics, MedianBound) {
  EXPECT_EQ(statistics_of({1.0f, 1.0f, 1.0f, 4096.0f}).median_bound(), 2.0f);
  EXPECT_EQ(statistics_of({0.3f}).median_bound(), 0.5f);
}

}  // namespace
}  // namespace octavo

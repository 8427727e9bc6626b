// rms_norm with an output scale against rms_norm and quantize; rounding points.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rms_norm.h"

#include "backend/cpu/run_kernel.h"
#include "ops/elementwise_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(RmsNormTest, WithAScaleWritesTheBytesOfNormAndQuantize) {
  std::mt19937 random(1);
  const RmsNormParams params{1e-5f};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Shape shape{9, 200};
    const HostTensor x = normal_tensor(dtype, shape, 5, random);
    const HostTensor weight = normal_tensor(dtype, {50}, 0, random);
    const HostTensor scale = scale_tensor(kOutputScale);
    const HostTensor y(DType::kE4M3, shape);
    const auto fused = results(Op::kRmsNorm, params, {x, weight, scale}, {y});
    const auto norm = results(Op::kRmsNorm, params, {x, weight, {}}, {{dtype, shape}});
    const auto expected = results(Op::kQuantize, {}, {norm[0], scale}, {y});
    EXPECT_EQ(bytes_of(fused[0]), bytes_of(expected[0]));
  }
}

// The normalized value is rounded to BF16 before the weight multiplies it, as the models were
// trained: 1/sqrt(1 + 2^-7) = 0.99612… rounds to 0.99609375, and × 1.0078125 to 1.0.
TEST(RmsNormTest, RoundsTheNormalizedValueFirst) {
  HostTensor x(DType::kBF16, {1, 2});
  x.set(0, 1.0);
  x.set(1, 1.0);
  HostTensor weight(DType::kBF16, {2});
  weight.set(0, 1.0078125);
  weight.set(1, -1.0);
  const auto y =
      results(Op::kRmsNorm, RmsNormParams{0x1p-7f}, {x, weight, {}}, {{DType::kF32, {1, 2}}});
  EXPECT_EQ(y[0].get(0), 0.99609375 * 1.0078125);
  EXPECT_EQ(y[0].get(1), -0.99609375);
}

TEST(RmsNormTest, NanStaysInItsRow) {
  HostTensor x(DType::kF32, {3, 20});
  for (int64_t i = 0; i < 60; ++i) x.set(i, i == 25 ? NAN : 1.0);
  HostTensor weight(DType::kF32, {20});
  for (int64_t i = 0; i < 20; ++i) weight.set(i, 1.0);
  const auto y =
      results(Op::kRmsNorm, RmsNormParams{1e-5f}, {x, weight, {}}, {{DType::kF32, {3, 20}}})[0];
  for (int64_t i = 0; i < 60; ++i) EXPECT_EQ(std::isnan(y.get(i)), i / 20 == 1) << i;
}

}  // namespace
}  // namespace octavo

// RMS norm of a row, in groups of the weight's length.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rms_normalizer.h"

#include "ops/op_case.h"

namespace octavo {
namespace {

using testing_ops::HostTensor;

HostTensor weight_of(double first, double second) {
  HostTensor weight(DType::kBF16, {2});
  weight.set(0, first);
  weight.set(1, second);
  return weight;
}

TEST(RmsNormalizerTest, GroupsAreNormalizedByThemselves) {
  const RmsNormalizer normalizer(weight_of(1.0, 2.0).view(), 0.0f, DType::kF32);
  std::vector<float> x = {3, 3, 0.5f, -0.5f};
  normalizer.normalize(x.data(), x.data(), 4);
  EXPECT_EQ(x, (std::vector<float>{1, 2, 1, -2}));
}

TEST(RmsNormalizerTest, EpsilonKeepsZerosZero) {
  const RmsNormalizer normalizer(weight_of(1.0, 1.0).view(), 1e-5f, DType::kF32);
  std::vector<float> x = {0, 0};
  normalizer.normalize(x.data(), x.data(), 2);
  EXPECT_EQ(x, (std::vector<float>{0, 0}));
}

TEST(RmsNormalizerTest, RoundsToTheTypeBeforeTheWeight) {
  // 1 / sqrt(1 + 2^-7) = 0.99612...: float32 keeps it, BF16 rounds it to 0.99609375.
  const std::vector<float> x = {1, 1};
  std::vector<float> exact(2), rounded(2);
  const HostTensor weight = weight_of(1.0, 1.0);
  RmsNormalizer(weight.view(), 0x1p-7f, DType::kF32).normalize(x.data(), exact.data(), 2);
  RmsNormalizer(weight.view(), 0x1p-7f, DType::kBF16).normalize(x.data(), rounded.data(), 2);
  EXPECT_GT(exact[0], 0.9961f);
  EXPECT_EQ(rounded[0], 0.99609375f);
}

}  // namespace
}  // namespace octavo

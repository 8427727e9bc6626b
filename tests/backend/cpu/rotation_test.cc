// The rotation of one position.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rotation.h"

#include "ops/op_case.h"

namespace octavo {
namespace {

using testing_ops::HostTensor;

TEST(RotationTest, CosinesAndSinesAreTheNearestFloats) {
  HostTensor frequency(DType::kF32, {1});
  frequency.set(0, 1.0);
  Rotation rotation(frequency.view());
  rotation.set_position(100000);
  const float x[2] = {1.0f, 0.0f};
  float y[2];
  rotation.rotate(x, y, 2);
  EXPECT_EQ(y[0], static_cast<float>(std::cos(100000.0)));
  EXPECT_EQ(y[1], static_cast<float>(std::sin(100000.0)));
}

TEST(RotationTest, RotatesEveryHeadInPlace) {
  HostTensor frequency(DType::kF32, {2});
  frequency.set(0, 1.0);
  frequency.set(1, 0.25);
  Rotation rotation(frequency.view());
  rotation.set_position(3);
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> y(8);
  rotation.rotate(x.data(), y.data(), 8);
  for (const int head : {0, 4}) {
    for (const int i : {0, 1}) {
      const double angle = i == 0 ? 3.0 : 0.75;
      const double first = x[head + i] * std::cos(angle) - x[head + 2 + i] * std::sin(angle);
      EXPECT_NEAR(y[head + i], first, 1e-5);
    }
  }
  rotation.rotate(x.data(), x.data(), 8);
  EXPECT_EQ(x, y);
}

}  // namespace
}  // namespace octavo

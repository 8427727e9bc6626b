// Scale rules: safe scales for every amax, and what they guarantee about codes.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"

namespace octavo {
namespace {

constexpr float kMin = std::numeric_limits<float>::min();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

TEST(ScaleTest, IsTheAmaxOver448) {
  EXPECT_EQ(safe_scale(448.0f), 1.0f);
  EXPECT_EQ(safe_scale(0x1p-24f), 0x1p-24f / 448.0f);
  EXPECT_EQ(safe_scale(65504.0f), 65504.0f / 448.0f);
  EXPECT_EQ(safe_scale(3e38f), 3e38f / 448.0f);
  EXPECT_EQ(safe_scale(0.0f), 1.0f);
  EXPECT_EQ(safe_scale(-0.0f), 1.0f);
}

TEST(ScaleTest, IsNeverSubnormal) {
  for (const float amax : {kDenormal, kMin / 2, kMin, 448 * kMin, 896 * kMin}) {
    EXPECT_EQ(safe_scale(amax), 2 * kMin) << amax;
    EXPECT_EQ(inverse_scale(safe_scale(amax)), 0x1p125f) << amax;
  }
}

// Whatever the amax: the scale passes the file check, its reciprocal is finite and normal, no value
// within the amax saturates by more than rounding, and the amax itself becomes a large code.
TEST(ScaleTest, HoldsForEveryMagnitude) {
  std::mt19937 random(1);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 50; ++i) {
      const float amax =
          std::bit_cast<float>((exponent << 23) | static_cast<uint32_t>(random() & 0x7FFFFFu));
      const float scale = safe_scale(amax);
      ASSERT_TRUE(valid_scale(scale)) << amax;
      ASSERT_TRUE(std::isnormal(inverse_scale(scale))) << amax;
      const uint8_t code = quantize(amax, inverse_scale(scale)).bits;
      if (amax >= 896 * kMin) {
        ASSERT_EQ(code, 0x7E) << amax;
      } else {
        ASSERT_LE(code, 0x7E) << amax;
      }
      ASSERT_EQ(quantize(-amax, inverse_scale(scale)).bits, code | 0x80) << amax;
    }
  }
}

TEST(ScaleTest, RefusesAnAmaxThatIsNone) {
  for (const float amax :
       {-1.0f, -kDenormal, std::numeric_limits<float>::infinity(), std::nanf("")})
    EXPECT_THROW(safe_scale(amax), Error) << amax;
}

TEST(ScaleTest, ScalesFromFilesAreFinitePositiveAndNormal) {
  for (const float good : {1.0f, kMin, 1e-30f, 1e37f}) EXPECT_TRUE(valid_scale(good)) << good;
  for (const float bad : {0.0f, -1.0f, kMin / 2, kDenormal, kMax,
                          std::numeric_limits<float>::infinity(), std::nanf("")})
    EXPECT_FALSE(valid_scale(bad)) << bad;
}

// A round trip is within half a code of the value: 1/16 relative for normal codes, half of the
// smallest code below; the reciprocal's and the product's roundings add two units.
TEST(ScaleTest, RoundTripErrorIsBounded) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (const float scale : {0.01f, 1.0f, 7.3f}) {
    for (int i = 0; i < 20000; ++i) {
      const float value = 100.0f * scale * normal(random);
      const float code = to_float(quantize(value, inverse_scale(scale)));
      if (std::fabs(value) > 448.0f * scale) continue;
      const double bound = std::max(std::fabs(value) / 16.0, 0x1p-10 * scale);
      EXPECT_LE(std::fabs(static_cast<double>(code) * scale - value), bound * (1 + 0x1p-20))
          << value << " at " << scale;
    }
  }
}

}  // namespace
}  // namespace octavo

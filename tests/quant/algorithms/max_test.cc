// Max calibration.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "numerics/scale.h"
#include "quant/algorithm.h"

namespace octavo {
namespace {

TEST(MaxAlgorithm, NothingSeenIsClipped) {
  for (const float amax : {448.0f, 1.0f, 3.14159f, 1e-3f, 6e4f}) {
    const float scale = kMaxAlgorithm.scale({.amax = amax});
    EXPECT_EQ(scale, amax / 448.0f);
    EXPECT_EQ(to_float(quantize(amax, inverse_scale(scale))), 448.0f) << amax;
  }
}

TEST(MaxAlgorithm, ZeroAndTinyStayUsable) {
  EXPECT_EQ(kMaxAlgorithm.scale({}), 1.0f);
  EXPECT_TRUE(valid_scale(kMaxAlgorithm.scale({.amax = 1e-44f})));
}

}  // namespace
}  // namespace octavo

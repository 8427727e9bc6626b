// Tests of the instruction set levels.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_features.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(CpuFeatures, LimitLowersTheLevelWhileItLives) {
  EXPECT_EQ(cpu_level(), detected_cpu_level());
  {
    const CpuLevelLimit limit(CpuLevel::kScalar);
    EXPECT_EQ(cpu_level(), CpuLevel::kScalar);
  }
  EXPECT_EQ(cpu_level(), detected_cpu_level());
}

TEST(CpuFeatures, LimitNeverRaisesTheLevel) {
  const CpuLevelLimit limit(CpuLevel::kAmx);
  EXPECT_EQ(cpu_level(), detected_cpu_level());
}

TEST(CpuFeatures, EveryLevelHasAName) {
  for (const CpuLevel level : {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512,
                               CpuLevel::kAvx512Bf16, CpuLevel::kAmx}) {
    EXPECT_FALSE(to_string(level).empty());
  }
}

}  // namespace
}  // namespace octavo

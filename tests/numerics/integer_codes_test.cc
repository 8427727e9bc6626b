// Integer codes of weights.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/integer_codes.h"

#include <gtest/gtest.h>

#include <limits>

namespace octavo {
namespace {

TEST(IntegerCodes, RoundToEvenAndSaturate) {
  EXPECT_EQ(to_int8_code(0.5f), 0);
  EXPECT_EQ(to_int8_code(1.5f), 2);
  EXPECT_EQ(to_int8_code(-2.5f), -2);
  EXPECT_EQ(to_int8_code(127.0f), 127);
  EXPECT_EQ(to_int8_code(1e30f), 127);
  EXPECT_EQ(to_int8_code(-1e30f), -128);
  EXPECT_EQ(to_int4_code(6.5f), 6);
  EXPECT_EQ(to_int4_code(7.9f), 7);
  EXPECT_EQ(to_int4_code(-9.0f), -8);
  EXPECT_EQ(to_int4_code(std::numeric_limits<float>::infinity()), 7);
  EXPECT_EQ(to_int4_code(std::numeric_limits<float>::quiet_NaN()), 0);
}

TEST(IntegerCodes, PairsComeBack) {
  for (int8_t even = -8; even < 8; ++even) {
    for (int8_t odd = -8; odd < 8; ++odd) {
      const uint8_t pair = pack_int4(even, odd);
      EXPECT_EQ(unpack_int4(pair, 0), even);
      EXPECT_EQ(unpack_int4(pair, 1), odd);
    }
  }
}

}  // namespace
}  // namespace octavo

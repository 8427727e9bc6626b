// The BF16 and F16 codecs against the formats' definitions and ml_dtypes.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "e4m3_table.h"

namespace octavo {
namespace {

TEST(Bf16Test, EveryValueSurvivesDecodingAndEncoding) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const bf16 value{static_cast<uint16_t>(bits)};
    const float decoded = to_float(value);
    if (std::isnan(decoded)) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(decoded)))) << bits;
    } else {
      EXPECT_EQ(to_bf16(decoded).bits, bits);
    }
  }
}

TEST(Bf16Test, RoundsToNearestEven) {
  for (uint32_t upper = 0; upper < 0x7F80u; ++upper) {
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const auto rounded = [&](uint32_t lower) {
        return to_bf16(std::bit_cast<float>(sign | (upper << 16) | lower)).bits;
      };
      const uint32_t code = (sign >> 16) | upper;
      ASSERT_EQ(rounded(0x0000), code);
      ASSERT_EQ(rounded(0x7FFF), code);
      ASSERT_EQ(rounded(0x8000), code + (upper & 1u)) << "a tie goes to the even value";
      ASSERT_EQ(rounded(0x8001), code + 1);
      ASSERT_EQ(rounded(0xFFFF), code + 1);
    }
  }
}

TEST(Bf16Test, OverflowsToInfinityAndKeepsNan) {
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_EQ(to_bf16(-std::numeric_limits<float>::max()).bits, 0xFF80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::infinity()).bits, 0x7F80);
  for (const uint32_t nan : {0x7F800001u, 0x7FFFFFFFu, 0xFF800001u, 0xFFFFFFFFu}) {
    EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(nan))))) << nan;
    EXPECT_EQ(to_bf16(std::bit_cast<float>(nan)).bits >> 15, nan >> 31);
  }
}

TEST(Bf16Test, AgreesWithMlDtypes) {
  for (const EncoderSample& sample : kEncoderSamples)
    EXPECT_EQ(to_bf16(std::bit_cast<float>(sample.input)).bits, sample.bf16) << sample.input;
}

TEST(F16Test, DecodesEveryValue) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = to_float(f16{static_cast<uint16_t>(bits)});
    const int exponent = static_cast<int>((bits >> 10) & 0x1F);
    const int mantissa = static_cast<int>(bits & 0x3FF);
    EXPECT_EQ(std::signbit(value), bits >= 0x8000u);
    if (exponent == 0x1F) {
      EXPECT_EQ(mantissa == 0, std::isinf(value)) << bits;
      EXPECT_EQ(mantissa != 0, std::isnan(value)) << bits;
    } else {
      const double expected = exponent == 0 ? std::ldexp(mantissa, -24)
                                            : std::ldexp(1.0 + mantissa / 1024.0, exponent - 15);
      EXPECT_EQ(std::fabs(value), expected) << bits;
    }
  }
}

}  // namespace
}  // namespace octavo

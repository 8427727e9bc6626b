// The E4M3 codec against the format's formula, a search over the code table and ml_dtypes.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/e4m3.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "e4m3_table.h"

namespace octavo {
namespace {

// The value of a finite code by the definition of the format: sign, 4 bits of exponent with bias 7,
// 3 bits of mantissa, subnormals where the exponent is 0.
double value_by_definition(int code) {
  const int exponent = (code >> 3) & 0xF;
  const int mantissa = code & 0x7;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa / 8.0, -6)
                                         : std::ldexp(1.0 + mantissa / 8.0, exponent - 7);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// The nearest code by search: of the two neighbours the nearer one, at a tie the even one.
uint8_t nearest_code(float value) {
  if (std::isnan(value)) return static_cast<uint8_t>((std::signbit(value) ? 0x80 : 0) | 0x7F);
  const double magnitude = std::fabs(static_cast<double>(value));
  int best = 0;
  for (int code = 1; code <= 0x7E; ++code) {
    const double distance = std::fabs(value_by_definition(code) - magnitude);
    const double best_distance = std::fabs(value_by_definition(best) - magnitude);
    if (distance < best_distance || (distance == best_distance && code % 2 == 0)) best = code;
  }
  if (std::isinf(magnitude)) best = 0x7E;
  return static_cast<uint8_t>((std::signbit(value) ? 0x80 : 0) | best);
}

TEST(E4M3Test, DecodesEveryCode) {
  for (int code = 0; code < 256; ++code) {
    const e4m3 value{static_cast<uint8_t>(code)};
    if ((code & 0x7F) == 0x7F) {
      EXPECT_TRUE(is_nan(value));
      EXPECT_TRUE(std::isnan(to_float(value)));
    } else {
      EXPECT_FALSE(is_nan(value));
      EXPECT_EQ(to_float(value), value_by_definition(code)) << code;
      EXPECT_EQ(std::signbit(to_float(value)), code >= 0x80) << code;
    }
  }
}

TEST(E4M3Test, EveryCodeSurvivesDecodingAndEncoding) {
  for (int code = 0; code < 256; ++code) {
    EXPECT_EQ(to_e4m3(to_float(e4m3{static_cast<uint8_t>(code)})).bits, code);
  }
}

TEST(E4M3Test, EncodesEveryBf16ValueToTheNearestCode) {
  for (uint32_t upper = 0; upper < 0x10000u; ++upper) {
    const float value = std::bit_cast<float>(upper << 16);
    ASSERT_EQ(to_e4m3(value).bits, nearest_code(value)) << value;
  }
}

TEST(E4M3Test, RoundsTiesToEvenAndTheirNeighboursAway) {
  for (int code = 0; code < 0x7E; ++code) {
    const auto middle =
        static_cast<float>((value_by_definition(code) + value_by_definition(code + 1)) / 2);
    const int even = code % 2 == 0 ? code : code + 1;
    EXPECT_EQ(to_e4m3(middle).bits, even) << middle;
    EXPECT_EQ(to_e4m3(std::nextafter(middle, 0.0f)).bits, code) << middle;
    EXPECT_EQ(to_e4m3(std::nextafter(middle, 1e9f)).bits, code + 1) << middle;
    EXPECT_EQ(to_e4m3(-middle).bits, 0x80 | even) << middle;
  }
}

TEST(E4M3Test, Saturates) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {448.0f, 463.9f, 464.0f, 464.1f, 480.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(to_e4m3(value).bits, 0x7E) << value;
    EXPECT_EQ(to_e4m3(-value).bits, 0xFE) << value;
  }
}

TEST(E4M3Test, SmallestValues) {
  EXPECT_EQ(to_e4m3(0x1p-9f).bits, 0x01);
  EXPECT_EQ(to_e4m3(0x1p-10f).bits, 0x00) << "a tie goes to the even code";
  EXPECT_EQ(to_e4m3(std::nextafter(0x1p-10f, 1.0f)).bits, 0x01);
  EXPECT_EQ(to_e4m3(0x1.8p-9f).bits, 0x02);
  EXPECT_EQ(to_e4m3(0x1p-6f).bits, 0x08) << "the smallest normal";
  EXPECT_EQ(to_e4m3(std::numeric_limits<float>::denorm_min()).bits, 0x00);
}

TEST(E4M3Test, KeepsTheSignOfZeroAndNan) {
  EXPECT_EQ(to_e4m3(0.0f).bits, 0x00);
  EXPECT_EQ(to_e4m3(-0.0f).bits, 0x80);
  EXPECT_EQ(to_e4m3(-0x1p-30f).bits, 0x80);
  EXPECT_EQ(to_e4m3(std::bit_cast<float>(0x7FC00000u)).bits, 0x7F);
  EXPECT_EQ(to_e4m3(std::bit_cast<float>(0xFFC00000u)).bits, 0xFF);
  EXPECT_EQ(to_e4m3(std::bit_cast<float>(0x7F800001u)).bits, 0x7F);
}

TEST(E4M3Test, AgreesWithMlDtypes) {
  for (int code = 0; code < 256; ++code) {
    const float value = to_float(e4m3{static_cast<uint8_t>(code)});
    const float expected = std::bit_cast<float>(kE4M3Values[code]);
    EXPECT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected))) << code;
  }
  for (const EncoderSample& sample : kEncoderSamples) {
    EXPECT_EQ(to_e4m3(std::bit_cast<float>(sample.input)).bits, sample.e4m3) << sample.input;
  }
}

TEST(E4M3Test, IsUsableAtCompileTime) {
  static_assert(to_e4m3(448.0f).bits == 0x7E);
  static_assert(to_float(e4m3{0x38}) == 1.0f);
}

// All 2^32 floats, in a minute or so: the code must change exactly where the search says, and be
// monotone between.
TEST(E4M3Test, DISABLED_EncodesEveryFloatToTheNearestCode) {
  std::array<float, 0x7E> middles;  // the boundary between code and code + 1
  for (int code = 0; code < 0x7E; ++code)
    middles[code] =
        static_cast<float>((value_by_definition(code) + value_by_definition(code + 1)) / 2);
  int expected = 0;
  for (uint32_t bits = 0; bits <= 0x7F800000u; ++bits) {
    const float value = std::bit_cast<float>(bits);
    while (expected < 0x7E &&
           (value > middles[expected] || (value == middles[expected] && expected % 2 == 1)))
      ++expected;
    ASSERT_EQ(to_e4m3(value).bits, expected) << value;
    ASSERT_EQ(to_e4m3(-value).bits, 0x80 | expected) << value;
  }
  for (uint32_t bits = 0x7F800001u; bits <= 0x7FFFFFFFu; ++bits) {
    ASSERT_EQ(to_e4m3(std::bit_cast<float>(bits)).bits, 0x7F);
    ASSERT_EQ(to_e4m3(std::bit_cast<float>(bits | 0x80000000u)).bits, 0xFF);
  }
}

}  // namespace
}  // namespace octavo

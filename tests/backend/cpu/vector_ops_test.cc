// Every instruction set's inner loops against the scalar codecs and a double oracle.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector_ops.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "numerics/scale.h"

namespace octavo {
namespace {

class VectorOpsTest : public testing::TestWithParam<const VectorOps*> {
 protected:
  const VectorOps& ops() const { return *GetParam(); }
};

// All BF16 values, and floats around every rounding boundary of BF16 and E4M3.
std::vector<float> interesting_floats() {
  std::vector<float> values;
  for (uint32_t upper = 0; upper < 0x10000u; ++upper) {
    for (const uint32_t lower : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      values.push_back(std::bit_cast<float>((upper << 16) | lower));
    }
  }
  return values;
}

TEST_P(VectorOpsTest, EncodesE4M3AsTheScalarCodec) {
  const std::vector<float> values = interesting_floats();
  std::vector<e4m3> codes(values.size());
  for (const float inverse : {1.0f, 0.37f}) {
    ops().quantize(values.data(), false, inverse, codes.data(), std::ssize(codes));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(codes[i].bits, quantize(values[i], inverse).bits) << values[i] << " × " << inverse;
    }
    ops().quantize(values.data(), true, inverse, codes.data(), std::ssize(codes));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(codes[i].bits, quantize(to_float(to_bf16(values[i])), inverse).bits) << values[i];
    }
  }
}

TEST_P(VectorOpsTest, RoundsToBf16AsTheScalarCodec) {
  const std::vector<float> values = interesting_floats();
  std::vector<bf16> encoded(values.size());
  ops().to_bf16(values.data(), encoded.data(), std::ssize(encoded));
  std::vector<float> rounded = values;
  ops().round_bf16(rounded.data(), std::ssize(rounded));
  std::vector<float> decoded(values.size());
  ops().from_bf16(encoded.data(), decoded.data(), std::ssize(decoded));
  for (size_t i = 0; i < values.size(); ++i) {
    const bf16 expected = to_bf16(values[i]);
    ASSERT_EQ(encoded[i].bits, expected.bits) << values[i];
    const auto expected_bits = std::bit_cast<uint32_t>(to_float(expected));
    ASSERT_EQ(std::bit_cast<uint32_t>(rounded[i]), expected_bits) << values[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), expected_bits) << values[i];
  }
}

// All 2^32 floats, in about a minute a variant.
TEST_P(VectorOpsTest, DISABLED_EncodesEveryFloatAsTheScalarCodecs) {
  constexpr uint32_t kBlock = 1 << 16;
  std::vector<float> values(kBlock);
  std::vector<e4m3> codes(kBlock);
  std::vector<bf16> halves(kBlock);
  for (uint64_t begin = 0; begin < (uint64_t{1} << 32); begin += kBlock) {
    for (uint32_t i = 0; i < kBlock; ++i)
      values[i] = std::bit_cast<float>(static_cast<uint32_t>(begin + i));
    ops().quantize(values.data(), false, 1.0f, codes.data(), kBlock);
    ops().to_bf16(values.data(), halves.data(), kBlock);
    for (uint32_t i = 0; i < kBlock; ++i) {
      ASSERT_EQ(codes[i].bits, to_e4m3(values[i]).bits) << begin + i;
      ASSERT_EQ(halves[i].bits, to_bf16(values[i]).bits) << begin + i;
    }
  }
}

TEST_P(VectorOpsTest, DecodesE4M3AsTheScalarCodec) {
  std::vector<e4m3> codes(256);
  for (int i = 0; i < 256; ++i) codes[i].bits = static_cast<uint8_t>(i);
  std::vector<float> values(codes.size());
  ops().from_e4m3(codes.data(), values.data(), std::ssize(codes));
  for (int i = 0; i < 256; ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(to_float(codes[i]))) << i;
  }
}

TEST_P(VectorOpsTest, TouchesNothingBeyondTheCount) {
  for (int64_t count = 0; count <= 35; ++count) {
    std::vector<float> x(64, 1.0f);
    std::vector<float> y(64, 7.0f);
    std::vector<e4m3> codes(64, e4m3{0x55});
    std::vector<bf16> halves(64, bf16{0x5555});
    ops().silu_multiply(x.data(), x.data(), y.data(), count);
    ops().quantize(x.data(), false, 1.0f, codes.data(), count);
    ops().to_bf16(x.data(), halves.data(), count);
    for (int64_t i = count; i < 64; ++i) {
      ASSERT_EQ(y[i], 7.0f);
      ASSERT_EQ(codes[i].bits, 0x55);
      ASSERT_EQ(halves[i].bits, 0x5555);
    }
    EXPECT_EQ(ops().sum_of_squares(x.data(), count), static_cast<float>(count));
  }
}

TEST_P(VectorOpsTest, SiluIsWithinFourUnitsInTheLastPlace) {
  std::vector<float> gate;
  for (float x = -87.0f; x < 100.0f; x += 0.00137f) gate.push_back(x);
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> y(gate.size());
  ops().silu_multiply(gate.data(), up.data(), y.data(), std::ssize(gate));
  for (size_t i = 0; i < gate.size(); ++i) {
    const double x = gate[i];
    const double expected = x / (1.0 + std::exp(-x));
    ASSERT_NEAR(y[i], expected, 4.0 * 0x1p-24 * std::abs(expected)) << x;
  }
}

TEST_P(VectorOpsTest, SiluOfSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate = {0.0f, -0.0f, kInfinity, -200.0f, std::nanf(""), 200.0f};
  const std::vector<float> up(gate.size(), 2.0f);
  std::vector<float> y(gate.size());
  ops().silu_multiply(gate.data(), up.data(), y.data(), std::ssize(gate));
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[2], kInfinity);
  EXPECT_EQ(y[3], 0.0f);
  EXPECT_TRUE(std::isnan(y[4]));
  EXPECT_EQ(y[5], 400.0f);
}

// All variants sum over sixteen lanes with fused multiply-adds, so they agree bit for bit.
TEST_P(VectorOpsTest, GivesTheBitsOfThePortableLoops) {
  const VectorOps& portable = *runnable_vector_ops().front();
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const int64_t count : {1, 15, 16, 17, 100, 1000}) {
    std::vector<float> x(count), up(count), y(count), expected(count);
    for (float& value : x) value = 3.0f * normal(random);
    for (float& value : up) value = normal(random);
    EXPECT_EQ(ops().sum_of_squares(x.data(), count), portable.sum_of_squares(x.data(), count));
    ops().silu_multiply(x.data(), up.data(), y.data(), count);
    portable.silu_multiply(x.data(), up.data(), expected.data(), count);
    EXPECT_EQ(y, expected);
  }
}

struct StepData {
  explicit StepData(int64_t rows, int64_t stride, uint32_t seed) : rows(rows), stride(stride) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* matrix : {&queries, &keys, &values}) {
      matrix->resize((matrix == &queries ? rows : kAttentionBlock) * stride);
      for (float& value : *matrix) value = normal(random);
    }
    for (int64_t row = 0; row < rows; ++row) {
      first.push_back(static_cast<int32_t>(row % 3));
      last.push_back(static_cast<int32_t>(row % 5 == 4 ? row % 3 : 32 - row % 7));
    }
    maximum.assign(rows, -std::numeric_limits<float>::infinity());
    denominator.assign(rows, 0.0f);
    output.assign(rows * stride, 0.0f);
    scores.assign(rows * kAttentionBlock, 0.0f);
  }

  void run(const VectorOps& ops) {
    ops.attention_step({queries.data(), keys.data(), values.data(), rows, stride, first.data(),
                        last.data(), 0.125f, scores.data(), maximum.data(), denominator.data(),
                        output.data()});
  }

  int64_t rows, stride;
  std::vector<float> queries, keys, values, scores, maximum, denominator, output;
  std::vector<int32_t> first, last;
};

TEST_P(VectorOpsTest, AttentionStepGivesTheBitsOfThePortableLoops) {
  for (const int64_t rows : {1, 3, 4, 5, 17}) {
    for (const int64_t stride : {16, 48, 64, 128}) {
      StepData actual(rows, stride, 11);
      StepData expected(rows, stride, 11);
      for (int step = 0; step < 3; ++step) {
        actual.run(ops());
        expected.run(*runnable_vector_ops().front());
      }
      EXPECT_EQ(actual.maximum, expected.maximum);
      EXPECT_EQ(actual.denominator, expected.denominator);
      EXPECT_EQ(actual.output, expected.output);
    }
  }
}

// A row's result must not depend on the rows beside it: that is what makes batches reproducible.
TEST_P(VectorOpsTest, AttentionStepOfARowDoesNotDependOnItsNeighbours) {
  StepData together(17, 64, 5);
  together.run(ops());
  for (int64_t row = 0; row < 17; ++row) {
    StepData alone(17, 64, 5);
    alone.rows = 1;
    alone.queries.erase(alone.queries.begin(), alone.queries.begin() + row * 64);
    alone.first[0] = alone.first[row];
    alone.last[0] = alone.last[row];
    alone.run(ops());
    EXPECT_EQ(alone.denominator[0], together.denominator[row]);
    for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(alone.output[i], together.output[row * 64 + i]);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryInstructionSet, VectorOpsTest,
                         testing::ValuesIn(runnable_vector_ops().begin(),
                                           runnable_vector_ops().end()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace octavo

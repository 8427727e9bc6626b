// Scales and codes by block.
// SPDX-License-Identifier: Apache-2.0
#include "quant/block_codes.h"

#include <gtest/gtest.h>

#include <random>

#include "numerics/e4m3.h"
#include "numerics/integer_codes.h"
#include "numerics/scale.h"

namespace octavo {
namespace {

Tensor random_weight(int64_t rows, int64_t columns) {
  Tensor weight(DType::kF32, {rows, columns});
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < rows * columns; ++i) weight.as<float>()[i] = normal(random);
  return weight;
}

ScaleTensor scales_of(const Tensor& weight, const QuantScheme& scheme) {
  ScaleTensor scales{.shape = scale_shape(scheme, weight.shape()[0], weight.shape()[1]),
                     .values = block_amax(weight.view(), scheme)};
  for (float& value : scales.values) value = safe_scale(value, largest_code(scheme.element));
  return scales;
}

TEST(BlockCodes, IsAnExactDivision) {
  Tensor row(DType::kF32, {1, 7});
  const float values[] = {0.0f, -0.0f, 1.0f, 0.3f, -448.0f, 1e6f, 0.001f};
  std::copy(values, values + 7, row.as<float>());
  std::byte codes[7];
  encode_rows(row.view(), 0, kFp8PerTensor, ScaleTensor::scalar(0.3f), codes);
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(static_cast<uint8_t>(codes[i]), to_e4m3(values[i] / 0.3f).bits) << values[i];
}

TEST(BlockCodes, EveryBlockUsesItsLargestCode) {
  const Tensor weight = random_weight(10, 21);
  for (const QuantScheme scheme : {QuantScheme{DType::kE4M3, 4, 8}, QuantScheme{DType::kI8, 1, 0},
                                   QuantScheme{DType::kE4M3, 1, 0}}) {
    const ScaleTensor scales = scales_of(weight, scheme);
    std::vector<std::byte> codes(10 * 21);
    encode_rows(weight.view(), 0, scheme, scales, codes.data());
    std::vector<float> largest(scales.values.size(), 0.0f);
    const int64_t width = scheme.block_columns == 0 ? 21 : scheme.block_columns;
    for (int64_t i = 0; i < 10 * 21; ++i) {
      const int64_t block = i / 21 / scheme.block_rows * scales.shape[1] + i % 21 / width;
      const float code = scheme.element == DType::kI8
                             ? static_cast<float>(static_cast<int8_t>(codes[i]))
                             : to_float(e4m3{static_cast<uint8_t>(codes[i])});
      const float value = weight.as<float>()[i], scale = scales.values[block];
      // Half a unit: of 8-bit integers 1/2, of E4M3 at most 1/16 of the value or 2^-10.
      const float unit =
          scheme.element == DType::kI8 ? 0.5f : std::max(std::fabs(value / scale) / 16, 0x1p-10f);
      EXPECT_LE(std::fabs(code - value / scale), unit * 1.0001f);
      largest[block] = std::max(largest[block], std::fabs(code));
    }
    for (const float code : largest) EXPECT_EQ(code, largest_code(scheme.element));
  }
}

TEST(BlockCodes, PiecesOfRowsGiveTheSameBytes) {
  const Tensor weight = random_weight(12, 20);
  for (const QuantScheme scheme :
       {QuantScheme{DType::kI4x2, 1, 8}, QuantScheme{DType::kE4M3, 4, 8}}) {
    const ScaleTensor scales = scales_of(weight, scheme);
    const int64_t pair = rows_in_row(scheme.element);
    std::vector<std::byte> whole(12 / pair * 20), pieces(whole.size());
    encode_rows(weight.view(), 0, scheme, scales, whole.data());
    for (int64_t row = 0; row < 12; row += 2) {
      const TensorView part(weight.data() + row * 20 * 4, DType::kF32, {2, 20});
      encode_rows(part, row, scheme, scales, pieces.data() + row / pair * 20);
    }
    EXPECT_EQ(whole, pieces);
  }
}

TEST(BlockCodes, FourBitPairsAreTwoRows) {
  Tensor weight(DType::kF32, {2, 2});
  const float values[] = {7, -8, 3, -1};
  std::copy(values, values + 4, weight.as<float>());
  const QuantScheme scheme{DType::kI4x2, 1, 0};
  std::byte codes[2];
  encode_rows(weight.view(), 0, scheme, {.shape = {2, 1}, .values = {1, 1}}, codes);
  EXPECT_EQ(static_cast<uint8_t>(codes[0]), pack_int4(7, 3));
  EXPECT_EQ(static_cast<uint8_t>(codes[1]), pack_int4(-8, -1));
}

}  // namespace
}  // namespace octavo

// Conversions of weights and the search for values that are not finite.
// SPDX-License-Identifier: Apache-2.0
#include "model/weight_source.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/tiny_model.h"
#include "numerics/bf16.h"

namespace octavo {
namespace {

TEST(WeightSource, ConvertsExactlyWhereItCan) {
  const uint16_t halves[] = {0x3C00, 0xC000, 0x0001, 0x7BFF};  // 1, -2, 2^-24, 65504
  float floats[4];
  convert(reinterpret_cast<const std::byte*>(halves), DType::kF16,
          reinterpret_cast<std::byte*>(floats), DType::kF32, 4);
  EXPECT_EQ(floats[0], 1.0f);
  EXPECT_EQ(floats[1], -2.0f);
  EXPECT_EQ(floats[2], 0x1p-24f);
  EXPECT_EQ(floats[3], 65504.0f);
  bf16 rounded[4];
  convert(reinterpret_cast<const std::byte*>(halves), DType::kF16,
          reinterpret_cast<std::byte*>(rounded), DType::kBF16, 4);
  EXPECT_EQ(to_float(rounded[3]), 65536.0f);  // nearest even
}

TEST(WeightSource, MissingAndMistypedTensorsAreNamed) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  EXPECT_THROW(read_tensor(*model.weights, "nothing"), Error);
  EXPECT_THROW(read_tensor_as(*model.weights, "model.layers.0.mlp.up_proj.weight", DType::kBF16),
               Error);
  EXPECT_EQ(read_tensor_as(*model.weights, "model.norm.weight", DType::kF32).dtype(), DType::kF32);
}

TEST(WeightSource, CountsNonFinite) {
  Tensor tensor(DType::kF32, {2, 3});
  EXPECT_EQ(count_nonfinite(tensor.view()).count, 0);
  tensor.as<float>()[2] = NAN;
  tensor.as<float>()[5] = INFINITY;
  EXPECT_EQ(count_nonfinite(tensor.view()).count, 2);
  EXPECT_EQ(count_nonfinite(tensor.view()).first, 2);
}

}  // namespace
}  // namespace octavo

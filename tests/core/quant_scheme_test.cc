// Schemes are values and print themselves.
// SPDX-License-Identifier: Apache-2.0
#include "core/quant_scheme.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(QuantSchemeTest, Prints) {
  EXPECT_EQ(to_string(QuantScheme{}), "bfloat16");
  EXPECT_EQ(to_string(kFp8PerTensor), "float8_e4m3 per tensor, static");
  EXPECT_EQ(to_string(QuantScheme{DType::kE4M3, 128, 128, false}),
            "float8_e4m3 block 128x128, static");
  EXPECT_EQ(to_string(QuantScheme{DType::kE4M3, 1, 0, true}), "float8_e4m3 block 1xall, dynamic");
}

TEST(QuantSchemeTest, ComparesEveryField) {
  EXPECT_TRUE(kFp8PerTensor.quantized());
  EXPECT_FALSE(QuantScheme{}.quantized());
  EXPECT_EQ(kFp8PerTensor, (QuantScheme{DType::kE4M3}));
  EXPECT_NE(kFp8PerTensor, (QuantScheme{DType::kE4M3, 1}));
  EXPECT_NE(kFp8PerTensor, (QuantScheme{DType::kE4M3, 0, 0, true}));
}

}  // namespace
}  // namespace octavo

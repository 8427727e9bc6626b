// The formats that --qformat names.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "quant/algorithm.h"

namespace octavo {
namespace {

TEST(AlgorithmTable, FormatsByName) {
  const QuantFormat& fp8 = find_quant_format("fp8");
  EXPECT_EQ(fp8.weights, kFp8PerTensor);
  EXPECT_EQ(fp8.algorithm, &kMaxAlgorithm);
  const QuantFormat& full = find_quant_format("full_prec");
  EXPECT_FALSE(full.weights.quantized());
  EXPECT_EQ(full.algorithm, nullptr);
}

TEST(AlgorithmTable, EveryFormatIsFoundAndDescribed) {
  for (const QuantFormat& format : quant_formats()) {
    EXPECT_EQ(&find_quant_format(format.name), &format);
    EXPECT_FALSE(format.description.empty());
  }
}

TEST(AlgorithmTable, UnknownFormatsListTheSupported) {
  try {
    find_quant_format("int4_awq");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("expected one of fp8, full_prec, got "
                                                 "\"int4_awq\""));
  }
}

}  // namespace
}  // namespace octavo

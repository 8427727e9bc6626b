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
  EXPECT_EQ(fp8.linears, kFp8Linear);
  EXPECT_EQ(fp8.algorithm, &kMaxAlgorithm);
  const QuantFormat& full = find_quant_format("full_prec");
  EXPECT_FALSE(full.linears.quantized());
  EXPECT_EQ(find_quant_format("fp8_pc_pt").linears, kFp8PerChannelPerToken);
  EXPECT_FALSE(find_quant_format("fp8_pc_pt").needs_calibration());
  EXPECT_TRUE(fp8.needs_calibration());
  EXPECT_TRUE(find_quant_format("int4_awq").needs_calibration());
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
    find_quant_format("int3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("expected one of fp8, fp8_pc_pt, fp8_block, "
                                                 "int8_wo, int4_awq, full_prec, got \"int3\""));
  }
}

}  // namespace
}  // namespace octavo

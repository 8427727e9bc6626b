// The sample text before and after quantization.
// SPDX-License-Identifier: Apache-2.0
#include "api/sample_text.h"

#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

TEST(SampleText, TextOfBothModels) {
  QuantizeReport report;
  add_sample_texts(report, {.model_dir = kPocket, .output_dir = kPocket});
  EXPECT_FALSE(report.prompt.empty());
  EXPECT_FALSE(report.text_before.empty());
  EXPECT_EQ(report.text_after, report.text_before);  // the same model stands in both places
}

TEST(SampleText, NoneWithoutATokenizerOrWithoutRoom) {
  const TemporaryDirectory empty;
  QuantizeReport report;
  add_sample_texts(report, {.model_dir = empty.path(), .output_dir = kPocket});
  EXPECT_TRUE(report.prompt.empty());
  QuantizeReport huge{.bytes_before = uint64_t{1} << 60};
  add_sample_texts(huge, {.model_dir = kPocket, .output_dir = kPocket});
  EXPECT_TRUE(huge.text_before.empty());
}

}  // namespace
}  // namespace octavo

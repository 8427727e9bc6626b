// Errors of single linears.
// SPDX-License-Identifier: Apache-2.0
#include "quant/sensitivity.h"

#include <gtest/gtest.h>

#include "core/host_device.h"
#include "model/tiny_model.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

class SensitivityTest : public testing::Test {
 protected:
  SensitivityTest()
      : plan_(plan_quantization(model_, find_quant_format("fp8"),
                                calibrate(model_, {sample_}, cpu_registry(), device_, {}), {})) {}

  std::vector<std::pair<std::string, double>> errors() {
    return linear_errors(model_, plan_, sample_, cpu_registry(), pool_);
  }

  ModelDir model_ = tiny_model();
  std::vector<int32_t> sample_ = {0, 9, 31, 60, 4, 4, 17};
  ThreadPool pool_{1};
  HostDevice device_{pool_};
  QuantizationPlan plan_;
};

TEST_F(SensitivityTest, EveryQuantizedLinearOnceLargestFirst) {
  const auto found = errors();
  ASSERT_EQ(found.size(), 2u * 7);
  for (size_t i = 0; i < found.size(); ++i) {
    // Codes have 3 mantissa bits: each factor is off by at most 1/16, their sum by 1/8 and a bit.
    EXPECT_GT(found[i].second, 0.0);
    EXPECT_LT(found[i].second, 0.13) << found[i].first;
    EXPECT_LE(found[i].second, found[i == 0 ? 0 : i - 1].second);
  }
}

TEST_F(SensitivityTest, AClippedInputComesFirst) {
  const std::string module = "model.layers.1.mlp.down_proj";
  plan_.scales[module + ".input_scale"].values[0] /= 50;
  const auto found = errors();
  EXPECT_EQ(found.front().first, module);
  EXPECT_GT(found.front().second, 0.3);
}

TEST_F(SensitivityTest, LinearsOfSixteenBitAreLeftOut) {
  plan_.scales.erase("model.layers.0.mlp.up_proj.weight_scale");
  EXPECT_EQ(errors().size(), 13u);
}

}  // namespace
}  // namespace octavo

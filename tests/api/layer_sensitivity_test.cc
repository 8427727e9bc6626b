// What each layer costs by itself.
// SPDX-License-Identifier: Apache-2.0
#include "api/layer_sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "api/api_support.h"
#include "api/scoring_model.h"
#include "quant/layer_choice.h"

namespace octavo {
namespace {

class LayerSensitivityTest : public testing::Test {
 protected:
  LayerSensitivityTest() : original_(open_model_dir(kPocket)) {
    config_.max_batch_size = 1;
    config_.max_num_tokens = 64;
    for (int32_t i = 0; i < 33; ++i) ids_.push_back(300 + 7 * i);
    windows_ = {std::span(ids_)};
  }

  // Codes without calibration: inputs are quantized at run time.
  QuantizationPlan plan() const {
    return plan_quantization(original_, find_quant_format("fp8_pc_pt"), {}, {});
  }
  std::unique_ptr<ScoringModel> load(const ModelDir& model) {
    return std::make_unique<ScoringModel>(build_in_memory(model, config_, pool_, silent_), 32);
  }

  ModelDir original_;
  BuildConfig config_;
  ThreadPool pool_{0};
  SilentProgress silent_;
  std::vector<int32_t> ids_;
  std::vector<std::span<const int32_t>> windows_;
};

TEST_F(LayerSensitivityTest, TheModelItselfCostsNothing) {
  const auto reference = load(original_);
  const LayerProbe probe(reference->runner(), windows_);
  EXPECT_EQ(probe.context(), 32);
  EXPECT_EQ(probe.mean_kl(reference->runner()), 0.0);
  EXPECT_GT(probe.mean_kl(load(quantized_model(original_, plan()))->runner()), 0.0);
}

TEST_F(LayerSensitivityTest, ADamagedLayerPaysMost) {
  const LayerProbe probe(load(original_)->runner(), windows_);
  QuantizationPlan damaged = plan();
  for (float& scale : damaged.scales.at("model.layers.4.mlp.down_proj.weight_scale").values)
    scale /= 32;  // its weights saturate
  const auto layers = layer_sensitivities(original_, quantized_model(original_, damaged), probe,
                                          config_, pool_, silent_);
  ASSERT_EQ(layers.size(), 6u);
  for (size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(layers[i].first, "model.layers." + std::to_string(i));
    EXPECT_TRUE(std::isfinite(layers[i].second));
    EXPECT_GT(layers[i].second, 0.0);
    if (i != 4) {
      EXPECT_LT(layers[i].second, layers[4].second);
    }
  }
}

}  // namespace
}  // namespace octavo

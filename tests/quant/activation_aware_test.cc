// The search of channel scales: never worse on what it saw, better where a channel stands out.
// SPDX-License-Identifier: Apache-2.0
#include "quant/activation_aware.h"

#include <gtest/gtest.h>

#include "model/edited_weights.h"
#include "model/tiny_model.h"
#include "quant/quantized_weights.h"
#include "quant/sensitivity.h"

namespace octavo {
namespace {

const std::vector<std::vector<int32_t>> kSamples = {{0, 9, 31, 60, 4, 4, 17}, {0, 2, 8, 50, 33}};

// A norm whose weight lets one channel through a hundred times larger.
ModelDir model_with_outlier() {
  ModelDir model = tiny_model();
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
    weights->poke(std::string("model.layers.0.") + norm + ".weight", 5, 100.0f);
  model.weights = weights;
  return model;
}

double error_of(const ModelDir& model) {
  ThreadPool pool(1);
  const QuantFormat& format = find_quant_format("int4_awq");
  const QuantizationPlan plan = plan_quantization(model, format, {}, {});
  double sum = 0;
  for (const auto& [module, error] :
       linear_errors(model, plan, kSamples[0], cpu_registry(), pool)) {
    // The readers of the two norms.
    if (module.find("layers.0.") != std::string::npos && !module.ends_with("o_proj") &&
        !module.ends_with("down_proj"))
      sum += error;
  }
  return sum;
}

ModelDir folded(const ModelDir& model, int threads) {
  ThreadPool pool(threads);
  ActivationAwareOptions options{
      .weights = kInt4WeightOnly.weights, .modules = {}, .calibration = {}};
  for (const auto& [module, scheme] : linears_to_quantize(model, find_quant_format("int4_awq"), {}))
    options.modules.insert(module);
  return fold_activation_aware(model, kSamples, cpu_registry(), pool, options);
}

TEST(ActivationAware, AnOutlierChannelLosesLess) {
  const ModelDir model = model_with_outlier();
  EXPECT_LT(error_of(folded(model, 1)), 0.8 * error_of(model));
}

TEST(ActivationAware, ThreadsChangeNothing) {
  const ModelDir one = folded(model_with_outlier(), 1), two = folded(model_with_outlier(), 2);
  for (const std::string& name : one.weights->names()) {
    const Tensor a = read_tensor(*one.weights, name), b = read_tensor(*two.weights, name);
    ASSERT_TRUE(std::equal(a.data(), a.data() + a.bytes(), b.data())) << name;
  }
}

}  // namespace
}  // namespace octavo

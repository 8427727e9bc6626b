// Layers that move between a 16-bit model and its quantized form.
// SPDX-License-Identifier: Apache-2.0
#include "quant/layer_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/host_device.h"
#include "model/tiny_model.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

bool same_bytes(const WeightSource& a, const WeightSource& b, const std::string& name) {
  const Tensor x = read_tensor(a, name), y = read_tensor(b, name);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::equal(x.data(), x.data() + x.bytes(), y.data());
}

class LayerChoiceTest : public testing::Test {
 protected:
  QuantizationPlan plan_of(const PlanOptions& options, const char* format = "fp8") {
    return plan_quantization(model_, find_quant_format(format),
                             calibrate(model_, {{0, 9, 31, 60}}, cpu_registry(), device_, {}),
                             options);
  }

  ModelDir model_ = tiny_model();
  ThreadPool pool_{1};
  HostDevice device_{pool_};
};

TEST(LayerOf, IsTheDecoderLayerOrTheModule) {
  EXPECT_EQ(layer_of("model.layers.3.self_attn.q_proj.weight"), "model.layers.3");
  EXPECT_EQ(layer_of("model.layers.12.input_layernorm.weight"), "model.layers.12");
  EXPECT_EQ(layer_of("lm_head.weight"), "lm_head");
  EXPECT_EQ(layer_of("model.norm.weight"), "model.norm");
}

TEST_F(LayerChoiceTest, LayersWithQuantizedLinears) {
  EXPECT_TRUE(quantized_layers(model_).empty());
  const ModelDir all = quantized_model(model_, plan_of({.quantize_lm_head = true}));
  EXPECT_THAT(quantized_layers(all), ElementsAre("lm_head", "model.layers.0", "model.layers.1"));
  const ModelDir some = quantized_model(model_, plan_of({.exclude_modules = {"model.layers.0"}}));
  EXPECT_THAT(quantized_layers(some), ElementsAre("model.layers.1"));
}

// What is left out later is what an exclusion leaves out at once: the same tensors, bit for bit.
TEST_F(LayerChoiceTest, WithoutALayerIsAsExcluded) {
  for (const char* format : {"fp8", "fp8_pc_pt", "fp8_block", "int8_wo", "int4_awq"}) {
    const QuantizationPlan later =
        without_layers(plan_of({.fp8_kv_cache = true}, format), {"model.layers.1"});
    const QuantizationPlan excluded =
        plan_of({.exclude_modules = {"model.layers.1"}, .fp8_kv_cache = true}, format);
    EXPECT_EQ(later.scales, excluded.scales) << format;
    const ModelDir a = quantized_model(model_, later), b = quantized_model(model_, excluded);
    ASSERT_EQ(a.weights->names(), b.weights->names());
    EXPECT_EQ(a.weight_bytes, b.weight_bytes);
    for (const std::string& name : a.weights->names())
      EXPECT_TRUE(same_bytes(*a.weights, *b.weights, name)) << name;
    for (const ModelTensor& tensor : model_tensors(kLlama, model_.config))
      EXPECT_EQ(later.quantization.scheme_of(tensor.module),
                excluded.quantization.scheme_of(tensor.module));
  }
}

TEST_F(LayerChoiceTest, MixedPrecisionForgetsTheLayersModules) {
  const QuantizationPlan plan =
      plan_of({.module_formats = {{"*.down_proj", &find_quant_format("int8_wo")}}});
  const QuantizationPlan left = without_layers(plan, {"model.layers.0"});
  for (const ModuleScheme& own : left.quantization.modules)
    EXPECT_FALSE(own.pattern.starts_with("model.layers.0.")) << own.pattern;
  EXPECT_EQ(left.quantization.modules.size() * 2, plan.quantization.modules.size());
}

TEST_F(LayerChoiceTest, WithoutAnyLayerOnlyTheCacheIsQuantized) {
  const QuantizationPlan left =
      without_layers(plan_of({.fp8_kv_cache = true}), {"model.layers.0", "model.layers.1"});
  EXPECT_FALSE(left.quantization.quantizes_linears());
  EXPECT_TRUE(left.quantization.kv_cache);
  EXPECT_EQ(left.scales.size(), 2u * 2);
}

TEST_F(LayerChoiceTest, OneLayerOfTheQuantizedModel) {
  const ModelDir all = quantized_model(model_, plan_of({.fp8_kv_cache = true}));
  const ModelDir one = with_layers_of(model_, all, {"model.layers.1"});
  EXPECT_FALSE(one.quantization.kv_cache);
  EXPECT_THAT(one.quantization.exclude_modules, Contains("model.layers.0"));
  EXPECT_THAT(one.quantization.exclude_modules, Not(Contains("model.layers.1")));
  EXPECT_THAT(quantized_layers(one), ElementsAre("model.layers.1"));
  for (const ModelTensor& tensor : model_tensors(kLlama, model_.config)) {
    const bool of_it = tensor.name.starts_with("model.layers.1.");
    EXPECT_TRUE(same_bytes(*one.weights, of_it ? *all.weights : *model_.weights, tensor.name))
        << tensor.name;
  }
}

TEST_F(LayerChoiceTest, ModelsOfOtherShapesDoNotMix) {
  ModelConfig wider = tiny_config();
  wider.intermediate_size = 64;
  const ModelDir other = tiny_model(fp8_with_kv_cache(), wider);
  EXPECT_THROW(with_layers_of(model_, other, {"model.layers.0"}), Error);
}

// What a fold changed goes back with the layer.
TEST_F(LayerChoiceTest, OriginalLayersUndoAFold) {
  ModelDir folded = tiny_model();
  ModelConfig config = tiny_config();
  folded.weights = std::make_shared<DummyWeights>(kLlama, config, fp8_with_kv_cache());
  const ModelDir mixed = with_original_layers(model_, folded, {"model.layers.0"});
  const std::string norm = "model.layers.0.input_layernorm.weight";
  const std::string up = ".mlp.up_proj.weight";
  EXPECT_TRUE(same_bytes(*mixed.weights, *model_.weights, norm));
  EXPECT_TRUE(same_bytes(*mixed.weights, *model_.weights, "model.layers.0" + up));
  EXPECT_TRUE(same_bytes(*mixed.weights, *folded.weights, "model.layers.1" + up));
  EXPECT_EQ(with_original_layers(model_, folded, {}).weights, folded.weights);
}

}  // namespace
}  // namespace octavo

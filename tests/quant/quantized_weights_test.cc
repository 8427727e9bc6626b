// Plans of quantization, and the checkpoint that they describe.
// SPDX-License-Identifier: Apache-2.0
#include "quant/quantized_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "model/edited_weights.h"
#include "model/tiny_moe.h"
#include "numerics/scale.h"

namespace octavo {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr const char* kQ = "model.layers.0.self_attn.q_proj";

// As if every input, key and value had been seen between -4 and 4.
CalibrationStatistics seen() {
  const ObservedTensor four = [] {
    Tensor tensor(DType::kF32, {1, 2});
    tensor.as<float>()[0] = 4.0f, tensor.as<float>()[1] = -3.0f;
    return observe(tensor.view());
  }();
  CalibrationStatistics statistics;
  for (const ModelTensor& tensor : model_tensors(kLlama, tiny_config())) {
    statistics.inputs[tensor.module] = four.statistics;
    const std::string attention = tensor.module.substr(0, tensor.module.rfind('.'));
    if (tensor.role == Role::kK) statistics.keys[attention] = four.statistics;
    if (tensor.role == Role::kV) statistics.values[attention] = four.statistics;
  }
  return statistics;
}

QuantizationPlan plan_of(const ModelDir& model, const PlanOptions& options = {},
                         const char* format = "fp8") {
  return plan_quantization(model, find_quant_format(format), seen(), options);
}

TEST(PlanQuantization, ScalesOfEveryLinear) {
  const ModelDir model = tiny_model();
  const QuantizationPlan plan = plan_of(model);
  EXPECT_EQ(plan.scales.size(), 2u * 2 * 7);
  EXPECT_EQ(plan.scales.at(std::string(kQ) + ".input_scale").values[0], 4.0f / 448);
  const Tensor weight = read_tensor(*model.weights, std::string(kQ) + ".weight");
  EXPECT_EQ(plan.scales.at(std::string(kQ) + ".weight_scale").values[0],
            observe(weight.view()).statistics.amax / 448);
  EXPECT_EQ(plan.quantization.exclude_modules, std::vector<std::string>{"lm_head"});
  EXPECT_TRUE(plan.warnings.empty());
}

// As if every expert but the last of layer 1 had been reached, each with its own largest input.
CalibrationStatistics seen_by_experts(const ModelDir& model) {
  CalibrationStatistics statistics;
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    Tensor input(DType::kF32, {1, 1});
    *input.as<float>() = tensor.name.find("experts.2.") != std::string::npos ? 7.0f : 4.0f;
    statistics.inputs[tensor.module] = observe(input.view()).statistics;
    if (tensor.module.starts_with("model.layers.1.block_sparse_moe.experts.3."))
      statistics.inputs[tensor.module] = {};
  }
  return statistics;
}

TEST(PlanQuantization, AnExpertNeverReachedTakesTheScaleOfTheOthers) {
  const ModelDir model = tiny_moe();
  const QuantizationPlan plan =
      plan_quantization(model, find_quant_format("fp8"), seen_by_experts(model), {});
  const std::string experts = "model.layers.1.block_sparse_moe.experts.";
  EXPECT_EQ(plan.scales.at(experts + "0.w1.input_scale").values[0], 4.0f / 448);
  EXPECT_EQ(plan.scales.at(experts + "2.w2.input_scale").values[0], 7.0f / 448);
  for (const char* linear : {"3.w1", "3.w2", "3.w3"})
    EXPECT_EQ(plan.scales.at(experts + linear + ".input_scale").values[0], 7.0f / 448) << linear;
  EXPECT_EQ(plan.warnings.size(), 3u);
  EXPECT_THAT(plan.warnings,
              Contains(HasSubstr(experts + "3.w2: no calibration token reached this expert")));
}

TEST(PlanQuantization, RoutersAreExcludedByName) {
  const ModelDir model = tiny_moe();
  const QuantizationPlan plan =
      plan_quantization(model, find_quant_format("fp8"), seen_by_experts(model), {});
  EXPECT_THAT(plan.quantization.exclude_modules, Contains("model.layers.1.block_sparse_moe.gate"));
  EXPECT_FALSE(plan.scales.contains("model.layers.1.block_sparse_moe.gate.weight_scale"));
}

TEST(PlanQuantization, ExcludesAndTheHead) {
  const QuantizationPlan plan =
      plan_of(tiny_model(), {.exclude_modules = {"*.k_proj", "no.such"}, .quantize_lm_head = true});
  EXPECT_TRUE(plan.scales.contains("lm_head.weight_scale"));
  EXPECT_FALSE(plan.scales.contains("model.layers.1.self_attn.k_proj.weight_scale"));
  EXPECT_TRUE(plan.scales.contains("model.layers.1.self_attn.v_proj.weight_scale"));
  EXPECT_THAT(plan.warnings, Contains(HasSubstr("\"no.such\" matches no module")));
  EXPECT_THROW(plan_of(tiny_model(), {.exclude_modules = {"*"}}), Error);
}

TEST(PlanQuantization, CacheScales) {
  const QuantizationPlan both = plan_of(tiny_model(), {.fp8_kv_cache = true});
  EXPECT_EQ(both.scales.at("model.layers.1.self_attn.k_proj.k_scale").values[0], 4.0f / 448);
  EXPECT_EQ(both.quantization.kv_cache, kFp8PerTensor);
  const QuantizationPlan cache = plan_of(tiny_model(), {.fp8_kv_cache = true}, "full_prec");
  EXPECT_EQ(cache.scales.size(), 4u);
  EXPECT_FALSE(cache.quantization.weights.quantized());
}

TEST(PlanQuantization, WhatWasNeverActivatedHasScaleOne) {
  const QuantizationPlan plan = plan_quantization(tiny_model(), find_quant_format("fp8"), {}, {});
  EXPECT_EQ(plan.scales.at(std::string(kQ) + ".input_scale").values[0], 1.0f);
  EXPECT_THAT(plan.warnings, Contains(HasSubstr("never activated")));
}

TEST(PlanQuantization, ZeroWeightsAreAWarning) {
  ModelDir model = tiny_model();
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  weights->replace(std::string(kQ) + ".weight", Tensor(DType::kBF16, {32, 32}));
  model.weights = weights;
  const QuantizationPlan plan = plan_of(model);
  EXPECT_EQ(plan.scales.at(std::string(kQ) + ".weight_scale").values[0], 1.0f);
  EXPECT_THAT(plan.warnings, Contains(HasSubstr("all weights are zero")));
}

TEST(PlanQuantization, NonFiniteWeightsAreRefusedByNameUnlessAllowed) {
  ModelDir model = tiny_model();
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  weights->poke(std::string(kQ) + ".weight", 77, std::numeric_limits<float>::infinity());
  weights->poke(std::string(kQ) + ".weight", 99, std::numeric_limits<float>::quiet_NaN());
  model.weights = weights;
  try {
    plan_of(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    EXPECT_THAT(error.what(), HasSubstr("q_proj.weight: expected finite values, got 2 that are "
                                        "not, the first at index 77"));
  }
  const QuantizationPlan plan = plan_of(model, {.allow_nonfinite = true});
  EXPECT_EQ(plan.nonfinite.at(std::string(kQ) + ".weight").count, 2);
  EXPECT_TRUE(valid_scale(plan.scales.at(std::string(kQ) + ".weight_scale").values[0]));
}

TEST(QuantizedWeights, LooksLikeTheQuantizedCheckpoint) {
  const ModelDir model = tiny_model();
  const QuantizationPlan plan = plan_of(model, {.fp8_kv_cache = true});
  const QuantizedWeights weights(model.weights, model, plan);
  EXPECT_THAT(weights.names(), Contains("model.layers.0.self_attn.k_proj.k_scale"));
  EXPECT_EQ(weights.names().size(), model.weights->names().size() + plan.scales.size());
  EXPECT_EQ(weights.info(std::string(kQ) + ".weight")->dtype, DType::kE4M3);
  EXPECT_EQ(weights.info("lm_head.weight")->dtype, DType::kBF16);
  EXPECT_EQ(weights.info(std::string(kQ) + ".weight_scale")->shape, Shape{});
  EXPECT_FALSE(weights.info("no.such"));
}

TEST(QuantizedWeights, RowsAreEncodedAsTheyAreRead) {
  const ModelDir model = tiny_model();
  const QuantizationPlan plan = plan_of(model);
  const QuantizedWeights weights(model.weights, model, plan);
  const std::string name = std::string(kQ) + ".weight";
  const Tensor source = read_tensor(*model.weights, name), whole = read_tensor(weights, name);
  const float scale = plan.scales.at(std::string(kQ) + ".weight_scale").values[0];
  for (int64_t i = 0; i < whole.bytes(); ++i) {
    ASSERT_EQ(whole.as<e4m3>()[i].bits, to_e4m3(to_float(source.as<bf16>()[i]) / scale).bits);
  }
  std::byte rows[2 * 32];
  weights.read(name, 5, rows);
  EXPECT_TRUE(std::equal(rows, rows + 64, whole.data() + 5 * 32));
  const Tensor stored = read_tensor(weights, std::string(kQ) + ".weight_scale");
  EXPECT_EQ(*stored.as<float>(), scale);
}

}  // namespace
}  // namespace octavo

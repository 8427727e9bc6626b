// Dummy weights: a pure function of name and index, of the stated spread.
// SPDX-License-Identifier: Apache-2.0
#include "model/dummy_weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/tiny_model.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

const std::string kGate = "model.layers.1.mlp.gate_proj";

TEST(DummyWeights, AnyPieceIsThatOfTheWhole) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  const Tensor whole = read_tensor(*model.weights, kGate + ".weight");
  ASSERT_EQ(whole.dtype(), DType::kE4M3);
  std::vector<std::byte> rows(3 * 32);
  model.weights->read(kGate + ".weight", 7, rows);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), whole.data() + 7 * 32));
}

TEST(DummyWeights, VarianceIsOneOverColumns) {
  for (const CheckpointQuantization& quantization :
       {CheckpointQuantization{}, fp8_with_kv_cache()}) {
    ModelConfig config = tiny_config();
    config.hidden_size = 256;
    config.head_dim = 64;
    const ModelDir model = tiny_model(quantization, config);
    const Tensor weight = read_tensor(*model.weights, kGate + ".weight");
    const bool quantized = weight.dtype() == DType::kE4M3;
    const float scale =
        quantized ? *read_tensor(*model.weights, kGate + ".weight_scale").as<float>() : 1.0f;
    double sum = 0.0;
    const int64_t count = weight.shape().elements();
    for (int64_t i = 0; i < count; ++i) {
      const float value =
          quantized ? to_float(weight.as<e4m3>()[i]) * scale : to_float(weight.as<bf16>()[i]);
      sum += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(sum / static_cast<double>(count) * 256.0, 1.0, 0.05);
  }
}

TEST(DummyWeights, NormsAreOneAndExcludedModulesStay16Bit) {
  CheckpointQuantization quantization = fp8_with_kv_cache();
  quantization.exclude_modules.push_back("model.layers.0.mlp.*");
  const ModelDir model = tiny_model(quantization);
  EXPECT_EQ(to_float(*read_tensor(*model.weights, "model.norm.weight").as<bf16>()), 1.0f);
  EXPECT_EQ(model.weights->info("model.layers.0.mlp.gate_proj.weight")->dtype, DType::kBF16);
  EXPECT_EQ(model.weights->info("model.layers.1.mlp.gate_proj.weight")->dtype, DType::kE4M3);
  EXPECT_EQ(model.weights->info("lm_head.weight")->dtype, DType::kBF16);
  EXPECT_TRUE(model.weights->info("model.layers.0.self_attn.k_proj.k_scale"));
  EXPECT_FALSE(model.weights->info("model.layers.0.mlp.gate_proj.input_scale"));
}

}  // namespace
}  // namespace octavo

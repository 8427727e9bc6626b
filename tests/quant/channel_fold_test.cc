// Folded channel scales leave what the model computes.
// SPDX-License-Identifier: Apache-2.0
#include "quant/channel_fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/tiny_model.h"

namespace octavo {
namespace {

using testing::ElementsAre;

std::set<std::string> all_linears() {
  std::set<std::string> modules;
  for (const ModelTensor& tensor : model_tensors(kLlama, tiny_config())) {
    if (tensor.lowest == Precision::kEightBit) modules.insert(tensor.module);
  }
  return modules;
}

TEST(FoldGroups, NormsAndUpUndoTheirReaders) {
  const std::vector<FoldGroup> groups = fold_groups(tiny_model(), all_linears());
  ASSERT_EQ(groups.size(), 2u * 3);
  const std::string layer = "model.layers.0.";
  EXPECT_EQ(groups[0].producer, layer + "input_layernorm.weight");
  EXPECT_THAT(groups[0].consumers,
              ElementsAre(layer + "self_attn.q_proj", layer + "self_attn.k_proj",
                          layer + "self_attn.v_proj"));
  EXPECT_EQ(groups[1].producer, layer + "post_attention_layernorm.weight");
  EXPECT_EQ(groups[2].producer, layer + "mlp.up_proj.weight");
  EXPECT_TRUE(groups[2].producer_rows);
  EXPECT_THAT(groups[2].consumers, ElementsAre(layer + "mlp.down_proj"));
}

TEST(FoldGroups, OneSixteenBitReaderForbidsIt) {
  std::set<std::string> modules = all_linears();
  modules.erase("model.layers.0.self_attn.v_proj");
  EXPECT_EQ(fold_groups(tiny_model(), modules).size(), 5u);
}

TEST(FoldedWeights, ProductsStayTheSame) {
  const ModelDir model = tiny_model();
  FoldedWeights folded(model.weights);
  const FoldGroup group = fold_groups(model, all_linears())[0];
  std::vector<float> scales(32);
  for (size_t i = 0; i < 32; ++i) scales[i] = 0.5f + 0.1f * static_cast<float>(i);
  folded.fold(group, scales);
  const Tensor norm = read_tensor_as(*model.weights, group.producer, DType::kF32);
  const Tensor new_norm = read_tensor_as(folded, group.producer, DType::kF32);
  EXPECT_EQ(folded.info(group.producer)->dtype, DType::kBF16);
  const std::string name = group.consumers[1] + ".weight";
  const Tensor weight = read_tensor_as(*model.weights, name, DType::kF32);
  const Tensor new_weight = read_tensor(folded, name);
  EXPECT_EQ(new_weight.dtype(), DType::kF32);
  for (int64_t i = 0; i < weight.shape().elements(); ++i) {
    const double before = double{weight.as<float>()[i]} * norm.as<float>()[i % 32];
    // Two roundings of float32: the quotient and the product.
    EXPECT_NEAR(double{new_weight.as<float>()[i]} * new_norm.as<float>()[i % 32], before,
                std::abs(before) * 3 * 0x1p-24);
  }
}

TEST(FoldedWeights, RowsOfTheProducerAreDivided) {
  const ModelDir model = tiny_model();
  FoldedWeights folded(model.weights);
  const FoldGroup group = fold_groups(model, all_linears())[2];
  folded.fold(group, std::vector<float>(48, 4.0f));
  const Tensor up = read_tensor_as(*model.weights, group.producer, DType::kF32);
  const Tensor new_up = read_tensor(folded, group.producer);
  for (int64_t i = 0; i < up.shape().elements(); ++i)
    ASSERT_EQ(new_up.as<float>()[i], up.as<float>()[i] / 4);
  std::byte rows[2 * 32 * 4];
  folded.read(group.producer, 3, rows);
  EXPECT_TRUE(std::equal(rows, rows + sizeof(rows), new_up.data() + 3 * 32 * 4));
}

}  // namespace
}  // namespace octavo

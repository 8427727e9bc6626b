// The table of architectures and the tensors it yields.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/error.h"
#include "model/tiny_model.h"

namespace octavo {
namespace {

TEST(Registry, FindsByArchitecture) {
  const nlohmann::json json = {{"architectures", {"LlamaForCausalLM"}}};
  EXPECT_EQ(find_architecture(json, "f").model_type, "llama");
  for (const Architecture* architecture : all_architectures()) {
    const nlohmann::json named = {{"architectures", {architecture->name}}};
    EXPECT_EQ(&find_architecture(named, "f"), architecture);
  }
}

TEST(Registry, RefusesNoneOneTooManyAndOthers) {
  for (const nlohmann::json& bad :
       {nlohmann::json::object(), nlohmann::json{{"architectures", nlohmann::json::array()}},
        nlohmann::json{{"architectures", {"LlamaForCausalLM", "LlamaForCausalLM"}}},
        nlohmann::json{{"architectures", {3}}},
        nlohmann::json{{"architectures", "LlamaForCausalLM"}}}) {
    EXPECT_THROW(find_architecture(bad, "f"), Error) << bad;
  }
}

TEST(Registry, NamesEveryLayersTensors) {
  const std::vector<ModelTensor> tensors = model_tensors(kLlama, tiny_config());
  EXPECT_EQ(tensors.size(), 3u + 2u * 9u);
  EXPECT_EQ(tensors.back().name, "model.layers.1.mlp.down_proj.weight");
  EXPECT_EQ(tensors.back().module, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(tensors.back().shard, ShardAxis::kColumns);
}

}  // namespace
}  // namespace octavo

// Mixtral: experts, routing and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/mixtral.h"

#include "model/family_case.h"

namespace octavo {
namespace {

const nlohmann::json kMoe = {{"num_local_experts", 4}, {"num_experts_per_tok", 2}};

TEST(Mixtral, TableIsTheProgram) {
  expect_table_is_the_program(kMixtral, family_config(kMixtral, kMoe));
}

TEST(Mixtral, LayerIsRouteAndLinearsOfExperts) {
  const Program program = kMixtral.emit(family_config(kMixtral, kMoe), {});
  for (const auto& [op, count] : {std::pair{Op::kRoute, 1u},
                                  {Op::kPermute, 1u},
                                  {Op::kGroupedLinear, 3u},
                                  {Op::kSwiglu, 1u},
                                  {Op::kCombine, 1u}})
    EXPECT_EQ(calls_in_layer(program, op, 1).size(), count) << to_string(op);
  const Call& gate = *calls_in_layer(program, Op::kGroupedLinear, 1)[0];
  EXPECT_EQ(gate.module, "model.layers.1.block_sparse_moe.experts.*.w1");
  EXPECT_EQ(to_string(program.tensor(gate.inputs[1]).shape), "[4, 48, 32]");
  EXPECT_EQ(to_string(program.tensor(gate.inputs[0]).shape), "[tokens_top_k(2), 32]");
  const Call& route = *calls_in_layer(program, Op::kRoute, 1)[0];
  EXPECT_EQ(program.tensor(route.inputs[0]).dtype, DType::kF32);
  EXPECT_TRUE(std::get<RouteParams>(route.params).normalize);
}

TEST(Mixtral, EveryExpertHasItsTensors) {
  int experts = 0;
  for (const ModelTensor& tensor : model_tensors(kMixtral, family_config(kMixtral, kMoe))) {
    if (tensor.of_all_experts.empty()) continue;
    ++experts;
    EXPECT_EQ(tensor.lowest, Precision::kEightBit);
    if (tensor.name == "model.layers.1.block_sparse_moe.experts.3.w2.weight") {
      EXPECT_EQ(tensor.shape, (Shape{32, 48}));
      EXPECT_EQ(tensor.shard, ShardAxis::kColumns);
      EXPECT_EQ(tensor.of_all_experts, "model.layers.1.block_sparse_moe.experts.*.w2");
    }
  }
  EXPECT_EQ(experts, 2 * 4 * 3);
}

TEST(Mixtral, RefusesByName) {
  for (const char* key : {"num_local_experts", "num_experts_per_tok"}) {
    nlohmann::json config = family_json(kMixtral, kMoe);
    config.erase(key);
    EXPECT_THROW(kMixtral.read_config(config, "f"), Error) << key;
  }
  nlohmann::json config = family_json(kMixtral, kMoe);
  config["num_experts_per_tok"] = 5;
  EXPECT_THROW(kMixtral.read_config(config, "f"), Error);
  config = family_json(kMixtral, kMoe);
  config.erase("rope_theta");
  EXPECT_THROW(kMixtral.read_config(config, "f"), Error);
}

}  // namespace
}  // namespace octavo

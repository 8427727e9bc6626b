// The Llama model file: its Program and its table of tensors.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/llama.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "model/tiny_model.h"

namespace octavo {
namespace {

TEST(Llama, EveryTensorOfTheTableIsAWeightOfTheProgram) {
  const Program program = kLlama.emit(tiny_config(), {});
  std::set<std::string> weights;
  for (const ProgramTensor& tensor : program.tensors) {
    if (tensor.kind == TensorKind::kWeight) weights.insert(tensor.name);
  }
  weights.erase("rope.inverse_frequency");
  std::set<std::string> table;
  for (const ModelTensor& tensor : model_tensors(kLlama, tiny_config())) {
    table.insert(tensor.name);
    const TensorId id = program.find(tensor.name);
    ASSERT_NE(id, kNoTensor) << tensor.name;
    EXPECT_EQ(evaluate(program.tensor(id).shape, {}), tensor.shape) << tensor.name;
  }
  EXPECT_EQ(weights, table);
}

TEST(Llama, TiedEmbeddingsHaveNoHead) {
  ModelConfig config = tiny_config();
  config.tie_word_embeddings = true;
  const Program program = kLlama.emit(config, {});
  EXPECT_EQ(program.find("lm_head.weight"), kNoTensor);
  EXPECT_EQ(program.calls.back().inputs[1], program.find("model.embed_tokens.weight"));
}

TEST(Llama, LayersAreUnfusedAndInOrder) {
  const Program program = kLlama.emit(tiny_config(), {});
  std::map<Op, int> ops;
  int layer = -1;
  for (const Call& call : program.calls) {
    EXPECT_GE(call.layer, layer);
    layer = call.layer;
    if (call.layer == 0) ++ops[call.op];
  }
  EXPECT_EQ(ops[Op::kLinear], 7);
  EXPECT_EQ(ops[Op::kRmsNorm], 2);
  EXPECT_EQ(ops[Op::kRope], 2);
  EXPECT_EQ(ops[Op::kAdd], 2);
  EXPECT_EQ(ops[Op::kKvAppend] + ops[Op::kAttention] + ops[Op::kSwiglu], 3);
  EXPECT_EQ(ops.count(Op::kQuantize), 0u);
}

}  // namespace
}  // namespace octavo

// Recording of calls.
// SPDX-License-Identifier: Apache-2.0
#include "program/recorder.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(Recorder, InfersShapesAndKeepsLayers) {
  Recorder recorder(DType::kBF16);
  const TensorId ids = recorder.input("token_ids", {Dim::of(Symbol::kTokens)});
  const TensorId x = recorder.embedding(ids, recorder.weight("table", {10, 8}), "embed");
  recorder.set_layer(3);
  const TensorId y = recorder.linear(x, recorder.weight("w", {6, 8}), kNoTensor, Role::kQ, "q");
  recorder.logits(y, recorder.weight("head", {10, 6}), "lm_head");
  const Program program = recorder.finish();
  EXPECT_EQ(to_string(program.tensor(y).shape), "[tokens, 6]");
  EXPECT_EQ(program.tensor(y).dtype, DType::kBF16);
  EXPECT_EQ(program.calls[0].layer, -1);
  EXPECT_EQ(program.calls[1].layer, 3);
  EXPECT_EQ(program.calls[1].role, Role::kQ);
  EXPECT_EQ(program.tensor(program.outputs[0]).dtype, DType::kF32);
  EXPECT_EQ(program.tensor(program.outputs[0]).name, "logits");
}

TEST(Recorder, RefusesShapesThatDoNotFit) {
  Recorder recorder(DType::kF32);
  const TensorId ids = recorder.input("token_ids", {Dim::of(Symbol::kTokens)});
  const TensorId x = recorder.embedding(ids, recorder.weight("table", {10, 8}), "embed");
  EXPECT_THROW(recorder.linear(x, recorder.weight("w", {6, 7}), kNoTensor, Role::kQ, "q"), Error);
}

}  // namespace
}  // namespace octavo

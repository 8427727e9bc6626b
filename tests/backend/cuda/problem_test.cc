// Questions about problems and views: alignment decides the vector width.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/problem.h"

#include <gtest/gtest.h>

namespace octavo::cuda {
namespace {

TensorView at(uintptr_t address, DType dtype, Shape shape) {
  return {reinterpret_cast<void*>(address), dtype, shape};
}

TEST(VectorWidth, FollowsAlignmentOfEveryView) {
  const TensorView good = at(256, DType::kBF16, {4, 64});
  const TensorView codes = at(264, DType::kE4M3, {4, 64});
  EXPECT_EQ(vector_width(64, {&good, &codes}), 8);
  EXPECT_EQ(vector_width(60, {&good}), 1);
  const TensorView shifted = at(258, DType::kBF16, {4, 64});
  EXPECT_EQ(vector_width(64, {&good, &shifted}), 1);
  TensorView pitched = good;
  pitched.row_stride = 68;
  EXPECT_EQ(vector_width(64, {&pitched}), 1);
  const TensorView vector = at(256, DType::kBF16, {64});
  EXPECT_EQ(vector_width(64, {&good, &vector}), 8);
  const TensorView absent;
  EXPECT_EQ(vector_width(64, {&good, &absent}), 8);
}

TEST(CheckActivations, NamesWhatDoesNotFit) {
  Problem problem;
  problem.inputs = {{{1}, DType::kBF16, true}, {{1}, DType::kF32, true}};
  problem.outputs = {{{1}, DType::kE4M3, true}};
  EXPECT_TRUE(check_activations(problem, {0}).supported);
  EXPECT_EQ(check_activations(problem, {0, 1}).reason, "inputs of bfloat16 and float32");
  problem.outputs[0].dtype = DType::kF32;
  EXPECT_EQ(check_activations(problem, {0}).reason, "float32 from bfloat16");
  problem.inputs[0].dtype = DType::kI32;
  EXPECT_EQ(check_activations(problem, {0}).reason, "activations of int32");
}

}  // namespace
}  // namespace octavo::cuda

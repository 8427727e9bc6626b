// Tests of the bytes of a decode step: tables looked up are left out, shared weights count once.
// SPDX-License-Identifier: Apache-2.0
#include "measure/step_bytes.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TensorId add(Program& program, TensorKind kind, DType dtype, SymbolicShape shape) {
  return program.add({.name = std::to_string(program.tensors.size()),
                      .kind = kind,
                      .dtype = dtype,
                      .shape = std::move(shape)});
}

TEST(WeightBytesPerStep, CountsWhatLinearsAndNormsRead) {
  Program program;
  const TensorId ids = add(program, TensorKind::kInput, DType::kI32, {Dim::of(Symbol::kTokens)});
  const TensorId table =
      add(program, TensorKind::kWeight, DType::kBF16, {Dim::constant(1000), Dim::constant(64)});
  const TensorId norm = add(program, TensorKind::kWeight, DType::kF32, {Dim::constant(64)});
  const TensorId weight =
      add(program, TensorKind::kWeight, DType::kE4M3, {Dim::constant(96), Dim::constant(64)});
  const TensorId x = add(program, TensorKind::kActivation, DType::kBF16,
                         {Dim::of(Symbol::kTokens), Dim::constant(64)});
  program.calls.push_back({.op = Op::kEmbedding, .inputs = {ids, table}, .outputs = {x}});
  program.calls.push_back({.op = Op::kRmsNorm, .inputs = {x, norm, kNoTensor}, .outputs = {x}});
  program.calls.push_back(
      {.op = Op::kLinear, .inputs = {x, weight, kNoTensor, kNoTensor, kNoTensor}, .outputs = {x}});
  const int64_t once = 64 * 4 + 96 * 64;
  EXPECT_EQ(weight_bytes_per_step(program), once);

  program.calls.push_back(program.calls.back());  // the same weight again
  EXPECT_EQ(weight_bytes_per_step(program), once);

  // A head that shares the embedding's table reads all of it.
  program.calls.push_back({.op = Op::kLinear, .inputs = {x, table}, .outputs = {x}});
  EXPECT_EQ(weight_bytes_per_step(program), once + 1000 * 64 * 2);
}

}  // namespace
}  // namespace octavo

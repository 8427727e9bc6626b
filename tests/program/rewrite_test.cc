// Rewriting helpers.
// SPDX-License-Identifier: Apache-2.0
#include "program/rewrite.h"

#include <gtest/gtest.h>

#include "model/tiny_model.h"

namespace octavo {
namespace {

TEST(Rewrite, ProducersAndConsumers) {
  const Program program = kLlama.emit(tiny_config(), {});
  const TensorId x = program.calls[0].outputs[0];  // the embedding's output
  EXPECT_EQ(producer_of(program, x), 0);
  EXPECT_EQ(consumers_of(program, x).size(), 2u);  // the norm and the residual
  EXPECT_EQ(producer_of(program, program.find("token_ids")), -1);
}

TEST(Rewrite, DeadTensorsGoAndTheRestStays) {
  Program program = kLlama.emit(tiny_config(), {});
  const std::string before = to_string(program);
  const size_t tensors = program.tensors.size();
  program.add({.name = "dead", .shape = {Dim::constant(1)}});
  remove_dead_tensors(program);
  EXPECT_EQ(program.tensors.size(), tensors);
  EXPECT_EQ(to_string(program), before);
  EXPECT_NO_THROW(validate(program));
  EXPECT_EQ(program.literals.size(), 1u);
}

TEST(Rewrite, RemovesCallsByIndex) {
  Program program = kLlama.emit(tiny_config(), {});
  const size_t calls = program.calls.size();
  const std::string kept = program.calls[1].module;
  remove_calls(program, {2, 0});
  EXPECT_EQ(program.calls.size(), calls - 2);
  EXPECT_EQ(program.calls[0].module, kept);
}

}  // namespace
}  // namespace octavo

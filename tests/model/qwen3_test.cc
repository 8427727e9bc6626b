// Qwen3: norms of heads and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/qwen3.h"

#include "model/family_case.h"

namespace octavo {
namespace {

TEST(Qwen3, TableIsTheProgram) {
  expect_table_is_the_program(kQwen3, family_config(kQwen3));
  expect_table_is_the_program(kQwen3, family_config(kQwen3, {{"attention_bias", true}}));
}

TEST(Qwen3, HeadsAreNormedBeforeTheyAreRotated) {
  const Program program = kQwen3.emit(family_config(kQwen3), {});
  std::set<TensorId> normed;
  for (const Call* call : calls_in_layer(program, Op::kRmsNorm, 0)) {
    if (call->role != Role::kHeadNorm) continue;
    EXPECT_EQ(to_string(program.tensor(call->inputs[1]).shape), "[10]");
    normed.insert(call->outputs[0]);
  }
  std::set<TensorId> rotated;
  for (const Call* call : calls_in_layer(program, Op::kRope, 0)) rotated.insert(call->inputs[0]);
  EXPECT_EQ(normed.size(), 2u);
  EXPECT_EQ(rotated, normed);
}

TEST(Qwen3, RefusesByName) {
  expect_refused(kQwen3, "mlp_bias", true);
  expect_refused(kQwen3, "head_dim", nullptr, ErrorCategory::kBadFile);
  expect_refused(kQwen3, "partial_rotary_factor", 0.5);
}

}  // namespace
}  // namespace octavo

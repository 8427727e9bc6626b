// add, rms_norm → add_rms_norm.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

TEST(FuseAddRmsNorm, EveryNormThatFollowsASum) {
  Draft draft = plain_draft();
  const Call add = *calls_of(draft.program, Op::kAdd)[0];
  fuse_add_rms_norm(draft);
  const Program& program = draft.program;
  ASSERT_NO_THROW(validate(program));
  // The first norm follows the embedding, the last one gathers rows of the last sum.
  EXPECT_EQ(calls_of(program, Op::kRmsNorm).size(), 2u);
  EXPECT_EQ(calls_of(program, Op::kAdd).size(), 1u);
  const std::vector<const Call*> fused = calls_of(program, Op::kAddRmsNorm);
  ASSERT_EQ(fused.size(), 3u);
  EXPECT_EQ(fused[0]->outputs[0], add.outputs[0]);
  EXPECT_EQ(fused[0]->inputs[0], add.inputs[1]);
  EXPECT_EQ(fused[0]->inputs[1], add.inputs[0]);
}

TEST(FuseAddRmsNorm, ASumThatIsReadBeforeTheNormStays) {
  Draft draft = plain_draft();
  Program& program = draft.program;
  const int norm = consumers_of(program, calls_of(program, Op::kAdd)[0]->outputs[0]).front();
  const TensorId x = program.calls[static_cast<size_t>(norm)].inputs[0];
  ProgramTensor doubled = program.tensor(x);
  doubled.name = "doubled";
  const TensorId out = program.add(std::move(doubled));
  program.calls.insert(program.calls.begin() + norm,
                       {.op = Op::kAdd, .inputs = {x, x}, .outputs = {out}, .layer = 0});
  fuse_add_rms_norm(draft);
  ASSERT_NO_THROW(validate(program));
  EXPECT_EQ(calls_of(program, Op::kAddRmsNorm).size(), 2u);
}

}  // namespace
}  // namespace octavo

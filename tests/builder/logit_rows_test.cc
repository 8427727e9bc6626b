// Rows that no logits are asked for leave the last layer behind its attention.
// SPDX-License-Identifier: Apache-2.0
#include "builder/logit_rows.h"

#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

Draft fused_draft(const ModelDir& model) {
  Draft draft = draft_program(model, {});
  for (const Fusion& fusion : fusion_table()) {
    if (fusion.enabled({}) && fusion.competition == Competition::kNone) fusion.apply(draft);
  }
  return draft;
}

int64_t calls_for_logits(const Program& program, Op op) {
  const std::vector<const Call*> calls = calls_of(program, op);
  return std::ranges::count_if(calls, [&](const Call* call) {
    return program.tensor(call->outputs[0]).shape[0].symbol == Symbol::kLogitRows;
  });
}

TEST(LogitRows, TheLastLayerBehindItsAttentionIsNarrow) {
  Draft draft = fused_draft(tiny_model(fp8_with_kv_cache()));
  Program& program = draft.program;
  EXPECT_EQ(calls_for_logits(program, Op::kLinear), 1);  // lm_head
  narrow_to_logit_rows(program);
  remove_dead_tensors(program);
  ASSERT_NO_THROW(validate(program));
  EXPECT_EQ(calls_for_logits(program, Op::kLinear), 4);  // o, gate and up, down
  EXPECT_EQ(calls_for_logits(program, Op::kAddRmsNorm), 1);
  const std::vector<const Call*> gathers = calls_of(program, Op::kGatherRows);
  ASSERT_EQ(gathers.size(), 2u);  // of attention's codes and of the residual
  EXPECT_EQ(program.tensor(gathers[0]->inputs[0]).dtype, DType::kE4M3);
  EXPECT_EQ(producer_of(program, gathers[0]->inputs[0]),
            static_cast<int>(calls_of(program, Op::kAttention).back() - program.calls.data()));
  EXPECT_EQ(gathers[1]->layer, 1);
}

// Rows do not depend on each other on the CPU: the same bits, for all of them, some and none.
TEST(LogitRows, TheLogitsAreTheSame) {
  for (const auto& quantization : {CheckpointQuantization{}, fp8_with_kv_cache()}) {
    const ModelDir model = tiny_model(quantization);
    for (const bool fused : {false, true}) {
      const Draft before = fused ? fused_draft(model) : draft_program(model, {});
      Draft after = before;
      narrow_to_logit_rows(after.program);
      ASSERT_NO_THROW(validate(after.program));
      EXPECT_EQ(calls_for_logits(after.program, Op::kLinear), fused ? 4 : 5);
      for (const std::vector<int32_t>& rows :
           {std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6}, {6}, {5, 2}, {}})
        EXPECT_EQ(logits_of(after, *model.weights, rows), logits_of(before, *model.weights, rows));
    }
  }
}

TEST(LogitRows, WhatIsReadElsewhereKeepsItsRows) {
  Draft draft = plain_draft();
  Program& program = draft.program;
  const Call* const down = call_of(program, Role::kDown, 1);
  ProgramTensor copy = program.tensor(down->outputs[0]);
  copy.name = "copy";
  const TensorId read = down->outputs[0], out = program.add(std::move(copy));
  program.calls.push_back({.op = Op::kAdd, .inputs = {read, read}, .outputs = {out}, .layer = 2});
  program.outputs.push_back(out);
  const std::string before = to_string(program);
  narrow_to_logit_rows(program);
  EXPECT_EQ(to_string(program), before);
}

TEST(LogitRows, WhereAllHaveLogitsNoneAreChosen) {
  for (const ModelDir& model : {tiny_model(fp8_with_kv_cache()), tiny_moe()}) {
    const Draft before = fused_draft(model);
    Draft after = before;
    give_all_rows_logits(after.program);
    fuse_add_rms_norm(after);
    remove_dead_tensors(after.program);
    ASSERT_NO_THROW(validate(after.program));
    EXPECT_EQ(after.program.calls.size(), before.program.calls.size() - 2);
    EXPECT_EQ(logits_of(after, *model.weights), logits_of(before, *model.weights));
  }
}

// The rows of experts are sorted by expert, over all tokens.
TEST(LogitRows, AMixtureOfExpertsStays) {
  Draft draft = draft_program(tiny_moe(), {});
  const std::string before = to_string(draft.program);
  narrow_to_logit_rows(draft.program);
  EXPECT_EQ(to_string(draft.program), before);
}

}  // namespace
}  // namespace octavo

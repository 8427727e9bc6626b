// quantize folded into the call before it.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "builder/draft_support.h"

namespace octavo {
namespace {

TEST(FuseQuantize, ProducersWriteCodes) {
  Draft draft = fp8_draft();
  fuse_add_rms_norm(draft);
  fuse_quantize(draft);
  const Program& program = draft.program;
  ASSERT_NO_THROW(validate(program));
  EXPECT_TRUE(calls_of(program, Op::kQuantize).empty());
  for (const Op op : {Op::kAddRmsNorm, Op::kAttention, Op::kSwiglu}) {
    for (const Call* call : calls_of(program, op)) {
      EXPECT_EQ(program.tensor(call->outputs.back()).dtype, DType::kE4M3) << call->module;
    }
  }
  // The final norm feeds lm_head, which is not quantized.
  EXPECT_EQ(program.tensor(calls_of(program, Op::kRmsNorm)[1]->outputs[0]).dtype, DType::kBF16);
}

TEST(FuseQuantize, WhatIsReadInSixteenBitTooStays) {
  CheckpointQuantization quantization = fp8_with_kv_cache();
  quantization.exclude_modules.push_back("model.layers.0.self_attn.k_proj");
  Draft draft = draft_program(tiny_model(quantization), {});
  fuse_quantize(draft);
  ASSERT_NO_THROW(validate(draft.program));
  EXPECT_EQ(calls_of(draft.program, Op::kQuantize).size(), 1u + 0u);
  EXPECT_EQ(calls_of(draft.program, Op::kQuantize)[0]->layer, 0);
}

}  // namespace
}  // namespace octavo

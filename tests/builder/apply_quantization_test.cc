// Insertion of quantize calls and scales.
// SPDX-License-Identifier: Apache-2.0
#include "builder/apply_quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "builder/draft_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

constexpr const char* kQ = "model.layers.0.self_attn.q_proj";

std::string error_of_scale(const EditedWeights& weights) {
  try {
    read_scale(weights, input_scale_name(kQ));
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    return error.what();
  }
  return "accepted";
}

TEST(ApplyQuantization, LinearsOfOneInputShareItsCodes) {
  const Draft draft = fp8_draft();
  const Program& program = draft.program;
  // Inputs of q, k, v; of o; of gate, up; of down.
  EXPECT_EQ(calls_of(program, Op::kQuantize).size(), 2u * 4);
  EXPECT_EQ(call_of(program, Role::kQ, 0)->inputs[0], call_of(program, Role::kV, 0)->inputs[0]);
  for (const Call* call : calls_of(program, Op::kLinear)) {
    const bool quantized = call->role != Role::kLmHead;
    EXPECT_EQ(program.tensor(call->inputs[1]).dtype, quantized ? DType::kE4M3 : DType::kBF16);
    EXPECT_EQ(call->inputs[2] != kNoTensor, quantized) << call->module;
    EXPECT_EQ(call->inputs[3] != kNoTensor, quantized) << call->module;
  }
}

TEST(ApplyQuantization, UnequalInputScalesMakeTheirOwnCodes) {
  EditedWeights weights(tiny_model(fp8_with_kv_cache()).weights);
  weights.replace(input_scale_name(kQ), scalar_tensor(0.5f));
  const Draft draft = draft_of(weights);
  EXPECT_EQ(calls_of(draft.program, Op::kQuantize).size(), 9u);
  EXPECT_NE(call_of(draft.program, Role::kQ, 0)->inputs[0],
            call_of(draft.program, Role::kK, 0)->inputs[0]);
  EXPECT_NO_THROW(validate(draft.program));
}

TEST(ApplyQuantization, SixteenBitCheckpointsStayAsTheyAre) {
  EXPECT_EQ(to_string(plain_draft().program), to_string(kLlama.emit(tiny_config(), {})));
}

TEST(ApplyQuantization, CachesAndTheirReadersGetTheScales) {
  const Program program = fp8_draft().program;
  for (const ProgramTensor& tensor : program.tensors) {
    EXPECT_TRUE(tensor.kind != TensorKind::kCache || tensor.dtype == DType::kE4M3);
  }
  const Call& append = *calls_of(program, Op::kKvAppend)[1];
  const Call& attention = *calls_of(program, Op::kAttention)[1];
  EXPECT_EQ(program.tensor(append.inputs[3]).name, "model.layers.1.self_attn.k_proj.k_scale");
  EXPECT_EQ(program.tensor(append.inputs[4]).name, "model.layers.1.self_attn.v_proj.v_scale");
  EXPECT_EQ(attention.inputs[7], append.inputs[3]);
  EXPECT_EQ(attention.inputs[8], append.inputs[4]);
}

TEST(ApplyQuantization, ACacheScaleIsNeverAssumed) {
  EditedWeights weights(tiny_model(fp8_with_kv_cache()).weights);
  weights.remove("model.layers.1.self_attn.v_proj.v_scale");
  Draft draft = draft_of(weights);
  try {
    quantize_kv_cache(draft, weights);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("model.layers.1.self_attn.v_proj.v_scale"));
    EXPECT_THAT(error.what(), HasSubstr("--kv_cache_dtype fp8"));
  }
}

TEST(ApplyQuantization, ScalesAreChecked) {
  EditedWeights weights(tiny_model(fp8_with_kv_cache()).weights);
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), 1e-40f}) {
    weights.replace(input_scale_name(kQ), scalar_tensor(bad));
    EXPECT_THAT(error_of_scale(weights), HasSubstr("expected a finite positive scale"));
  }
  weights.replace(input_scale_name(kQ), Tensor(DType::kF32, {2}));
  EXPECT_THAT(error_of_scale(weights), HasSubstr("expected one element, got [2]"));
  weights.replace(input_scale_name(kQ), Tensor(DType::kI32, {1}));
  EXPECT_THAT(error_of_scale(weights), HasSubstr("expected float32, got int32"));
  weights.remove(input_scale_name(kQ));
  EXPECT_THAT(error_of_scale(weights), HasSubstr("q_proj.input_scale: expected a calibrated"));
}

}  // namespace
}  // namespace octavo

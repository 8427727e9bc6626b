// add_rms_norm, linear or linear_swiglu → add_rms_norm_linear: one launch less.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// The FP8 linear has static scales, and the norm before it quantizes with the input's for nobody
// else.
bool fits(const Program& program, int linear_index) {
  if (linear_index == 0) return false;
  const Call& linear = program.calls[static_cast<size_t>(linear_index)];
  const Call& norm = program.calls[static_cast<size_t>(linear_index) - 1];
  return norm.op == Op::kAddRmsNorm && norm.outputs[1] == linear.inputs[0] &&
         consumers_of(program, norm.outputs[1]).size() == 1 && norm.inputs[3] != kNoTensor &&
         norm.inputs[3] == linear.inputs[2] &&
         program.tensor(linear.inputs[1]).dtype == DType::kE4M3 &&
         std::get<LinearParams>(linear.params).block_rows == 0;
}

void fuse(Program& program, Op op) {
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call linear = program.calls[i];
    if (linear.op != op || !fits(program, static_cast<int>(i))) continue;
    const Call norm = program.calls[i - 1];
    const TensorId output_scale = op == Op::kLinearSwiglu ? linear.inputs[5] : kNoTensor;
    if (op == Op::kLinearSwiglu && output_scale == kNoTensor) continue;  // y is not codes
    Call fused = linear;
    fused.op = Op::kAddRmsNormLinear;
    fused.params =
        NormLinearParams{.epsilon = std::get<RmsNormParams>(norm.params).epsilon,
                         .segment_rows = std::get<LinearParams>(linear.params).segment_rows};
    fused.inputs = {norm.inputs[0],   norm.inputs[1],   norm.inputs[2],   linear.inputs[1],
                    linear.inputs[2], linear.inputs[3], linear.inputs[4], output_scale};
    fused.outputs = {norm.outputs[0], linear.outputs[0]};
    program.calls[i] = std::move(fused);
    remove_calls(program, {static_cast<int>(i) - 1});
    --i;
  }
}

}  // namespace

void fuse_norm_linear(Draft& draft) { fuse(draft.program, Op::kLinear); }

void fuse_norm_linear_swiglu(Draft& draft) { fuse(draft.program, Op::kLinearSwiglu); }

}  // namespace octavo

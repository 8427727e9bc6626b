// The two calls that an add_rms_norm_linear stands for.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include "core/checked.h"

namespace octavo {
namespace {

constexpr size_t kLinearInputs = 5;  // of a linear; linear_swiglu has its scale behind them

}  // namespace

NormThenLinear::NormThenLinear(const Operands& whole, const TensorView& between) {
  const auto args = AddRmsNormLinearArgs::bind(whole);
  norm_inputs_ = {args.x, args.residual, args.norm_weight, args.input_scale};
  norm_outputs_ = {args.sum, between};
  norm_params_ = RmsNormParams{args.params->epsilon};
  linear_inputs_ = {between,           args.weight, args.input_scale,
                    args.weight_scale, args.bias,   args.output_scale};
  linear_inputs_used_ = kLinearInputs + (args.output_scale.defined() ? 1 : 0);
  y_ = args.y;
  linear_params_ = LinearParams{args.params->segment_rows};
}

Operands NormThenLinear::norm() const {
  return {.inputs = norm_inputs_, .outputs = norm_outputs_, .params = &norm_params_};
}

Operands NormThenLinear::linear() const {
  return {.inputs = std::span(linear_inputs_).first(linear_inputs_used_),
          .outputs = {&y_, 1},
          .params = &linear_params_};
}

Problem norm_part(const Problem& whole) {
  Problem norm{.op = Op::kAddRmsNorm};
  norm.params = RmsNormParams{std::get<NormLinearParams>(whole.params).epsilon};
  norm.inputs = {whole.inputs[0], whole.inputs[1], whole.inputs[2], whole.inputs[4]};
  norm.outputs = {whole.outputs[0], {whole.inputs[0].shape, DType::kE4M3, true}};
  return norm;
}

Problem linear_part(const Problem& whole) {
  const bool swiglu = whole.inputs[7].present;
  Problem linear{.op = swiglu ? Op::kLinearSwiglu : Op::kLinear};
  linear.params = LinearParams{std::get<NormLinearParams>(whole.params).segment_rows};
  linear.inputs = {{whole.inputs[0].shape, DType::kE4M3, true}};
  linear.inputs.insert(linear.inputs.end(), whole.inputs.begin() + 3,
                       whole.inputs.end() - (swiglu ? 0 : 1));
  linear.outputs = {whole.outputs[1]};
  return linear;
}

int64_t between_bytes(const Shape& x) {
  constexpr int64_t kAlignment = 256;
  return round_up(x.elements(), kAlignment);
}

}  // namespace octavo

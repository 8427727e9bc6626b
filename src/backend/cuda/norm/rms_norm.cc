// The kernels cuda_rms_norm, cuda_add_rms_norm and cuda_rms_norm_reference.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/norm/rms_norm.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/add_rms_norm.h"
#include "ops/rms_norm.h"

namespace octavo::cuda {
namespace {

struct NormCall {
  TensorView x, residual, weight, output_scale, sum, y;
  float epsilon = 0;
};

NormRows bind(const NormCall& call) {
  const int64_t width = call.weight.elements();
  return {
      .x = call.x.data,
      .residual = call.residual.data,
      .weight = call.weight.data,
      .output_scale = call.output_scale.as<const float>(),
      .sum = call.sum.data,
      .y = call.y.data,
      .x_stride = call.x.row_stride,
      .residual_stride = call.residual.row_stride,
      .sum_stride = call.sum.row_stride,
      .y_stride = call.y.row_stride,
      .rows = call.x.rows(),
      .groups = static_cast<int>(call.x.columns() / width),
      .width = static_cast<int>(width),
      .vector = vector_width(width, {&call.x, &call.residual, &call.weight, &call.sum, &call.y}),
      .inverse_width = 1.0f / static_cast<float>(width),
      .epsilon = call.epsilon,
      .activation = call.x.dtype,
      .output = call.y.dtype};
}

Verdict supports_rms_norm(const Problem& problem) { return check_activations(problem, {0, 1}); }
Verdict supports_add_rms_norm(const Problem& problem) {
  if (problem.outputs[0].dtype != problem.inputs[0].dtype)
    return Verdict::no("a sum of another type than x");
  return check_activations(problem, {0, 1, 2});
}

NormRows bind_rms_norm(const Operands& operands) {
  const auto args = RmsNormArgs::bind(operands);
  return bind({.x = args.x,
               .weight = args.weight,
               .output_scale = args.output_scale,
               .y = args.y,
               .epsilon = args.params->epsilon});
}

void run_rms_norm(const Operands& operands, const LaunchContext& context) {
  launch_rms_norm(bind_rms_norm(operands), on(context));
}

void run_reference(const Operands& operands, const LaunchContext& context) {
  launch_rms_norm_reference(bind_rms_norm(operands), on(context));
}

void run_add_rms_norm(const Operands& operands, const LaunchContext& context) {
  const auto args = AddRmsNormArgs::bind(operands);
  launch_rms_norm(bind({.x = args.x,
                        .residual = args.residual,
                        .weight = args.weight,
                        .output_scale = args.output_scale,
                        .sum = args.sum,
                        .y = args.y,
                        .epsilon = args.params->epsilon}),
                  on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

const Kernel kRmsNorm = {"cuda_rms_norm",   Op::kRmsNorm, kTraits,
                         supports_rms_norm, nullptr,      run_rms_norm};
const Kernel kAddRmsNorm = {"cuda_add_rms_norm",   Op::kAddRmsNorm, kTraits,
                            supports_add_rms_norm, nullptr,         run_add_rms_norm};
const Kernel kRmsNormReference = {"cuda_rms_norm_reference", Op::kRmsNorm, kReferenceTraits,
                                  supports_rms_norm,         nullptr,      run_reference};

}  // namespace octavo::cuda

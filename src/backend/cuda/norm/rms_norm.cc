// The kernels cuda_rms_norm, cuda_add_rms_norm and cuda_rms_norm_reference.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/norm/rms_norm.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/add_rms_norm.h"
#include "ops/rms_norm.h"

namespace octavo::cuda {

NormRows rows_of(const AddRmsNormArgs& args) {
  const int64_t width = args.weight.elements();
  return {
      .x = args.x.data,
      .residual = args.residual.data,
      .weight = args.weight.data,
      .output_scale = args.output_scale.as<const float>(),
      .sum = args.sum.data,
      .y = args.y.data,
      .x_stride = args.x.row_stride,
      .residual_stride = args.residual.row_stride,
      .sum_stride = args.sum.row_stride,
      .y_stride = args.y.row_stride,
      .rows = args.x.rows(),
      .groups = static_cast<int>(args.x.columns() / width),
      .width = static_cast<int>(width),
      .vector = vector_width(width, {&args.x, &args.residual, &args.weight, &args.sum, &args.y}),
      .inverse_width = 1.0f / static_cast<float>(width),
      .epsilon = args.params->epsilon,
      .activation = args.x.dtype,
      .output = args.y.dtype};
}

namespace {

Verdict supports_rms_norm(const Problem& problem) { return check_activations(problem, {0, 1}); }
Verdict supports_add_rms_norm(const Problem& problem) {
  if (problem.outputs[0].dtype != problem.inputs[0].dtype)
    return Verdict::no("a sum of another type than x");
  return check_activations(problem, {0, 1, 2});
}

NormRows bind_rms_norm(const Operands& operands) {
  const auto args = RmsNormArgs::bind(operands);
  return rows_of(AddRmsNormArgs{.x = args.x,
                                .weight = args.weight,
                                .output_scale = args.output_scale,
                                .y = args.y,
                                .params = args.params});
}

void run_rms_norm(const Operands& operands, const LaunchContext& context) {
  launch_rms_norm(bind_rms_norm(operands), on(context));
}

void run_reference(const Operands& operands, const LaunchContext& context) {
  launch_rms_norm_reference(bind_rms_norm(operands), on(context));
}

// The tactic "late" is a benchmark's: its gain is not in this kernel but in the one behind it.
void run_add_rms_norm(const Operands& operands, const LaunchContext& context) {
  NormRows rows = rows_of(AddRmsNormArgs::bind(operands));
  rows.late = context.tactic == "late";
  launch_rms_norm(rows, on(context));
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

// The kernels cuda_add, cuda_swiglu, cuda_swiglu_reference and cuda_quantize.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/pointwise/pointwise.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/add.h"
#include "ops/quantize.h"
#include "ops/swiglu.h"

namespace octavo::cuda {
namespace {

struct PointwiseCall {
  TensorView a, b, output_scale, y;
};

PointwiseRows bind(const PointwiseCall& call) {
  return {.a = call.a.data,
          .b = call.b.data,
          .output_scale = call.output_scale.as<const float>(),
          .y = call.y.data,
          .a_stride = call.a.row_stride,
          .b_stride = call.b.row_stride,
          .y_stride = call.y.row_stride,
          .rows = call.a.rows(),
          .columns = call.a.columns(),
          .vector = vector_width(call.a.columns(), {&call.a, &call.b, &call.y}),
          .activation = call.a.dtype,
          .output = call.y.dtype};
}

Verdict supports_binary(const Problem& problem) { return check_activations(problem, {0, 1}); }
Verdict supports_quantize(const Problem& problem) { return check_activations(problem, {0}); }

void run_add(const Operands& operands, const LaunchContext& context) {
  const auto args = AddArgs::bind(operands);
  launch_add(bind({.a = args.a, .b = args.b, .y = args.y}), on(context));
}

PointwiseRows bind_swiglu(const Operands& operands) {
  const auto args = SwigluArgs::bind(operands);
  return bind({.a = args.gate, .b = args.up, .output_scale = args.output_scale, .y = args.y});
}

void run_swiglu(const Operands& operands, const LaunchContext& context) {
  PointwiseRows rows = bind_swiglu(operands);
  rows.late = context.tactic == "late";  // as for the norm
  launch_swiglu(rows, on(context));
}

void run_swiglu_reference(const Operands& operands, const LaunchContext& context) {
  launch_swiglu_reference(bind_swiglu(operands), on(context));
}

void run_quantize(const Operands& operands, const LaunchContext& context) {
  const auto args = QuantizeArgs::bind(operands);
  launch_quantize(bind({.a = args.x, .output_scale = args.scale, .y = args.y}), on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

const Kernel kAdd = {"cuda_add", Op::kAdd, kTraits, supports_binary, nullptr, run_add};
const Kernel kSwiglu = {"cuda_swiglu", Op::kSwiglu, kTraits, supports_binary, nullptr, run_swiglu};
const Kernel kSwigluReference = {"cuda_swiglu_reference", Op::kSwiglu, kReferenceTraits,
                                 supports_binary,         nullptr,     run_swiglu_reference};
const Kernel kQuantize = {"cuda_quantize",   Op::kQuantize, kTraits,
                          supports_quantize, nullptr,       run_quantize};

}  // namespace octavo::cuda

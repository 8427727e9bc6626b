// Linear and SwiGLU on the CPU, one after the other, of experts too: the oracle of the fused GPU
// kernels.
// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_swiglu.h"

#include <vector>

#include "backend/cpu/grouped_linear.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/support.h"
#include "core/checked.h"

namespace octavo {
namespace {

constexpr size_t kLinearInputs = 5;
constexpr size_t kOffsets = 4;  // of experts' rows; else a bias
constexpr size_t kOutputScale = 5;
constexpr int64_t kAlignment = 64;

// The linear that writes gate and up side by side.
Problem linear_part(const Problem& problem) {
  Problem linear{.op = problem.op == Op::kLinearSwiglu ? Op::kLinear : Op::kGroupedLinear,
                 .params = problem.params};
  linear.inputs.assign(problem.inputs.begin(), problem.inputs.begin() + kLinearInputs);
  linear.outputs = {{{problem.inputs[0].shape[0], 2 * problem.outputs[0].shape[1]},
                     rounded_halves(problem.outputs[0].dtype),
                     true}};
  return linear;
}

// The preferred kernel for it; throws Error(kUnsupported) where there is none.
const Kernel& linear_kernel(const Problem& linear) {
  Verdict verdict;
  for (const Kernel& kernel :
       linear.op == Op::kLinear ? linear_kernels() : grouped_linear_kernels()) {
    verdict = kernel.supports(linear);
    if (verdict.supported) return kernel;
  }
  throw Error(ErrorCategory::kUnsupported, verdict.reason);
}

int64_t bytes_of(const Problem::Operand& operand) {
  return round_up(operand.shape.elements() * size_of(operand.dtype), kAlignment);
}

Verdict supports(const Problem& problem) {
  const DType y = problem.outputs[0].dtype;
  if (!is_activation(y) && y != DType::kE4M3)
    return Verdict::no(fmt::format("y of {}", octavo::to_string(y)));
  try {
    linear_kernel(linear_part(problem));
  } catch (const Error& error) {
    return Verdict::no(error.what());
  }
  return Verdict::yes();
}

int64_t workspace(const Problem& problem) {
  const Problem linear = linear_part(problem);
  const Kernel& kernel = linear_kernel(linear);
  return bytes_of(linear.outputs[0]) + (kernel.workspace == nullptr ? 0 : kernel.workspace(linear));
}

template <Op op>
void run(const Operands& operands, const LaunchContext& context) {
  const Problem linear = linear_part(problem_of(op, operands));
  const auto used = static_cast<size_t>(bytes_of(linear.outputs[0]));
  OCTAVO_CHECK(used <= context.workspace.size());
  const TensorView both(context.workspace.data(), linear.outputs[0].dtype, linear.outputs[0].shape);
  LaunchContext rest = context;
  rest.workspace = context.workspace.subspan(used);
  linear_kernel(linear).run({.inputs = operands.inputs.first(kLinearInputs),
                             .outputs = {&both, 1},
                             .params = operands.params},
                            rest);
  TensorView halves[] = {both, both, operands.inputs[kOutputScale], operands.inputs[kOffsets]};
  const int64_t columns = both.columns() / 2;
  for (TensorView* half : {&halves[0], &halves[1]}) half->shape[1] = columns;
  halves[1].data += columns * size_of(both.dtype);
  const OpParams none;
  constexpr bool kOfExperts = op == Op::kGroupedLinearSwiglu;
  const Kernel& swiglu = kOfExperts ? kCpuGroupedSwiglu : kCpuSwiglu;
  swiglu.run({.inputs = std::span(halves).first(kOfExperts ? 4 : 3),
              .outputs = operands.outputs,
              .params = &none},
             rest);
}

}  // namespace

const Kernel kCpuLinearSwiglu = {.name = "cpu_linear_swiglu",
                                 .op = Op::kLinearSwiglu,
                                 .traits = {},
                                 .supports = supports,
                                 .workspace = workspace,
                                 .run = run<Op::kLinearSwiglu>};

const Kernel kCpuGroupedLinearSwiglu = {.name = "cpu_grouped_linear_swiglu",
                                        .op = Op::kGroupedLinearSwiglu,
                                        .traits = {},
                                        .supports = supports,
                                        .workspace = workspace,
                                        .run = run<Op::kGroupedLinearSwiglu>};

}  // namespace octavo

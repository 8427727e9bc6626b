// Residual add with RMS norm, then linear or linear_swiglu, on the CPU: the oracle of the fused GPU
// kernels.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include "backend/cpu/linear.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// The preferred kernel of the second part; null where there is none.
const Kernel* linear_kernel(const Problem& linear) {
  const std::span<const Kernel> kernels =
      linear.op == Op::kLinear ? linear_kernels() : std::span(&kCpuLinearSwiglu, 1);
  for (const Kernel& kernel : kernels) {
    if (kernel.supports(linear).supported) return &kernel;
  }
  return nullptr;
}

Verdict supports(const Problem& problem) {
  const Verdict norm = kCpuAddRmsNorm.supports(norm_part(problem));
  if (!norm.supported) return norm;
  return linear_kernel(linear_part(problem)) != nullptr ? Verdict::yes()
                                                        : Verdict::no("no kernel for its linear");
}

int64_t workspace(const Problem& problem) {
  const Problem linear = linear_part(problem);
  const Kernel* const kernel = linear_kernel(linear);
  const bool more = kernel != nullptr && kernel->workspace != nullptr;
  return between_bytes(problem.inputs[0].shape) + (more ? kernel->workspace(linear) : 0);
}

void run(const Operands& operands, const LaunchContext& context) {
  const Shape& shape = operands.inputs[0].shape;
  const auto used = static_cast<size_t>(between_bytes(shape));
  OCTAVO_CHECK(used <= context.workspace.size());
  const TensorView between(context.workspace.data(), DType::kE4M3, shape);
  const NormThenLinear parts(operands, between);
  kCpuAddRmsNorm.run(parts.norm(), context);
  LaunchContext rest = context;
  rest.workspace = context.workspace.subspan(used);
  const Problem linear = linear_part(problem_of(Op::kAddRmsNormLinear, operands));
  const Kernel* const kernel = linear_kernel(linear);
  OCTAVO_CHECK(kernel != nullptr);
  kernel->run(parts.linear(), rest);
}

}  // namespace

const Kernel kCpuAddRmsNormLinear = {.name = "cpu_add_rms_norm_linear",
                                     .op = Op::kAddRmsNormLinear,
                                     .traits = {},
                                     .supports = supports,
                                     .workspace = workspace,
                                     .run = run};

}  // namespace octavo

// The table of linear kernels.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear.h"

#include <array>

#include "backend/cpu/linear_gemm.h"
#include "backend/cpu/linear_scalar.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// A bias is of the types that activations have.
Verdict with_bias(const Verdict& verdict, const Problem& problem) {
  const Problem::Operand& bias = problem.inputs[4];
  if (!verdict.supported || !bias.present || is_activation(bias.dtype)) return verdict;
  return Verdict::no(
      fmt::format("bias: expected float32 or bfloat16, got {}", octavo::to_string(bias.dtype)));
}

Verdict supports_scalar(const Problem& problem) {
  return with_bias(supports_linear_scalar(problem), problem);
}

void run_scalar(const Operands& operands, const LaunchContext& context) {
  cpu_linear_scalar(LinearArgs::bind(operands), context.pool);
}

template <const GemmCore& core>
Verdict supports(const Problem& problem) {
  return with_bias(supports_linear(core, problem), problem);
}

template <const GemmCore& core>
int64_t workspace(const Problem& problem) {
  return linear_workspace(core, problem);
}

template <const GemmCore& core>
void run(const Operands& operands, const LaunchContext& context) {
  cpu_linear(core, LinearArgs::bind(operands), context.workspace, context.pool);
}

template <const GemmCore& core>
constexpr Kernel gemm_kernel(std::string_view name) {
  return {.name = name,
          .op = Op::kLinear,
          .traits = {},
          .supports = supports<core>,
          .workspace = workspace<core>,
          .run = run<core>};
}

constexpr std::array kKernels = {
#if OCTAVO_X86_64
    gemm_kernel<kGemmAmx>("cpu_linear_amx"),
    gemm_kernel<kGemmAvx512Bf16>("cpu_linear_avx512_bf16"),
    gemm_kernel<kGemmAvx512>("cpu_linear_avx512"),
    gemm_kernel<kGemmAvx2>("cpu_linear_avx2"),
#endif
    Kernel{.name = "cpu_linear_scalar",
           .op = Op::kLinear,
           .traits = {.fallback = true},
           .supports = supports_scalar,
           .workspace = nullptr,
           .run = run_scalar},
};

}  // namespace

std::span<const Kernel> linear_kernels() { return kKernels; }

}  // namespace octavo

// The table of grouped linear kernels: expert after expert through the blocking of linear.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/grouped_linear.h"

#include <array>

#include "backend/cpu/expert_rows.h"
#include "backend/cpu/linear_gemm.h"
#include "backend/cpu/linear_scalar.h"

namespace octavo {
namespace {

void run_scalar(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    cpu_linear_scalar(args.expert(rows.expert), context.pool);
  });
}

template <const GemmCore& core>
Verdict supports(const Problem& problem) {
  return supports_linear(core, problem);
}

// One expert may have all rows.
template <const GemmCore& core>
int64_t workspace(const Problem& problem) {
  return linear_workspace(core, problem);
}

template <const GemmCore& core>
void run(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    cpu_linear(core, args.expert(rows.expert), context.workspace, context.pool);
  });
}

template <const GemmCore& core>
constexpr Kernel gemm_kernel(std::string_view name) {
  return {.name = name,
          .op = Op::kGroupedLinear,
          .traits = {},
          .supports = supports<core>,
          .workspace = workspace<core>,
          .run = run<core>};
}

constexpr std::array kKernels = {
#if OCTAVO_X86_64
    gemm_kernel<kGemmAmx>("cpu_grouped_linear_amx"),
    gemm_kernel<kGemmAvx512Bf16>("cpu_grouped_linear_avx512_bf16"),
    gemm_kernel<kGemmAvx512>("cpu_grouped_linear_avx512"),
    gemm_kernel<kGemmAvx2>("cpu_grouped_linear_avx2"),
#endif
    Kernel{.name = "cpu_grouped_linear_scalar",
           .op = Op::kGroupedLinear,
           .traits = {.fallback = true},
           .supports = supports_linear_scalar,
           .workspace = nullptr,
           .run = run_scalar},
};

}  // namespace

std::span<const Kernel> grouped_linear_kernels() { return kKernels; }

}  // namespace octavo

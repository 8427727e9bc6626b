// The table of grouped linear kernels: expert after expert through the blocking of linear.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/grouped_linear.h"

#include <array>

#include "backend/cpu/expert_rows.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/linear_scalar.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// Operands of the problem, in the order of the op.
enum Input { kX, kWeight };

Verdict supports_output(const Problem& problem) {
  const DType y = problem.outputs[0].dtype;
  if (is_activation(y)) return Verdict::yes();
  return Verdict::no(fmt::format("y: expected float32 or bfloat16, got {}", octavo::to_string(y)));
}

Verdict supports_scalar(const Problem& problem) {
  for (const Input input : {kX, kWeight}) {
    const DType dtype = problem.inputs[input].dtype;
    if (!is_activation(dtype) && dtype != DType::kE4M3) {
      return Verdict::no(fmt::format("{}: expected float32, bfloat16 or float8_e4m3, got {}",
                                     input == kX ? "x" : "weight", octavo::to_string(dtype)));
    }
  }
  return supports_output(problem);
}

void run_scalar(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    cpu_linear_scalar(args.expert(rows.expert), context.pool);
  });
}

template <const GemmCore& core>
Verdict supports(const Problem& problem) {
  for (const Input input : {kX, kWeight}) {
    const DType dtype = problem.inputs[input].dtype;
    if (core.source(dtype) == nullptr) {
      return Verdict::no(fmt::format("{}: {} is not a type that it reads",
                                     input == kX ? "x" : "weight", octavo::to_string(dtype)));
    }
  }
  if (const Verdict verdict = supports_output(problem); !verdict.supported) return verdict;
  if (cpu_level() >= core.level) return Verdict::yes();
  return Verdict::no(
      fmt::format("needs {}, this CPU offers {}", to_string(core.level), to_string(cpu_level())));
}

// One expert may have all rows.
template <const GemmCore& core>
int64_t workspace(const Problem& problem) {
  const Shape& x = problem.inputs[kX].shape;
  return gemm_workspace(core, x[0], x[1]);
}

template <const GemmCore& core>
void run(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    const LinearArgs one = args.expert(rows.expert);
    const LinearEpilogue epilogue(one);
    gemm(
        core, GemmRows::of(one.x), GemmRows::of(one.weight),
        [&epilogue](int64_t row, int64_t column, std::span<float> sums) {
          epilogue.store(row, column, sums);
        },
        context.workspace, context.pool);
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
           .traits = {},
           .supports = supports_scalar,
           .workspace = nullptr,
           .run = run_scalar},
};

}  // namespace

std::span<const Kernel> grouped_linear_kernels() { return kKernels; }

}  // namespace octavo

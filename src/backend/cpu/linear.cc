// The table of linear kernels: which problems each takes, and its call of `gemm`.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear.h"

#include <array>

#include "backend/cpu/gemm.h"
#include "backend/cpu/linear_scalar.h"

namespace octavo {
namespace {

// Operands of the problem, in the order of the op.
enum Input { kX, kWeight, kInputScale, kWeightScale, kBias };

Verdict unsupported_dtype(std::string_view operand, DType dtype, std::string_view expected) {
  return Verdict::no(
      fmt::format("{}: expected {}, got {}", operand, expected, octavo::to_string(dtype)));
}

// The part of `supports` that is the same for all.
Verdict supports_output(const Problem& problem) {
  constexpr std::string_view kExpected = "float32 or bfloat16";
  const auto stored = [](DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16; };
  const Problem::Operand& bias = problem.inputs[kBias];
  const DType y = problem.outputs[0].dtype;
  if (!stored(y)) return unsupported_dtype("y", y, kExpected);
  if (bias.present && !stored(bias.dtype)) return unsupported_dtype("bias", bias.dtype, kExpected);
  return Verdict::yes();
}

Verdict supports_scalar(const Problem& problem) {
  for (const Input input : {kX, kWeight}) {
    const DType dtype = problem.inputs[input].dtype;
    if (dtype != DType::kF32 && dtype != DType::kBF16 && dtype != DType::kE4M3) {
      return unsupported_dtype(input == kX ? "x" : "weight", dtype,
                               "float32, bfloat16 or float8_e4m3");
    }
  }
  return supports_output(problem);
}

void run_scalar(const Operands& operands, const LaunchContext& context) {
  cpu_linear_scalar(LinearArgs::bind(operands), context.pool);
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

template <const GemmCore& core>
int64_t workspace(const Problem& problem) {
  const Shape& x = problem.inputs[kX].shape;
  return gemm_workspace(core, x[0], x[1]);
}

template <const GemmCore& core>
void run(const Operands& operands, const LaunchContext& context) {
  const LinearArgs args = LinearArgs::bind(operands);
  const LinearEpilogue epilogue(args);
  gemm(
      core, GemmRows::of(args.x), GemmRows::of(args.weight),
      [&epilogue](int64_t row, int64_t column, std::span<float> sums) {
        epilogue.store(row, column, sums);
      },
      context.workspace, context.pool);
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

// Predicates of linears, and the choice between whole rows of the weight and blocks of them.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_gemm.h"

#include "backend/cpu/linear_blocks.h"
#include "backend/cpu/linear_scalar.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// Operands of the problem, in the order of both ops.
enum Input { kX, kWeight };

std::string_view name_of(Input input) { return input == kX ? "x" : "weight"; }

Verdict supports_output(const Problem& problem) {
  const DType y = problem.outputs[0].dtype;
  if (is_activation(y)) return Verdict::yes();
  return Verdict::no(fmt::format("y: expected float32 or bfloat16, got {}", to_string(y)));
}

}  // namespace

Verdict supports_linear_scalar(const Problem& problem) {
  for (const Input input : {kX, kWeight}) {
    const DType dtype = problem.inputs[input].dtype;
    const bool codes = input == kWeight ? is_code(dtype) : dtype == DType::kE4M3;
    if (!is_activation(dtype) && !codes) {
      return Verdict::no(fmt::format("{}: expected float32, bfloat16 or codes, got {}",
                                     name_of(input), to_string(dtype)));
    }
  }
  return supports_output(problem);
}

Verdict supports_linear(const GemmCore& core, const Problem& problem) {
  for (const Input input : {kX, kWeight}) {
    const DType dtype = problem.inputs[input].dtype;
    const bool decoded = input == kWeight && (dtype == DType::kI8 || dtype == DType::kI4x2);
    if (core.source(dtype) == nullptr && !decoded) {
      return Verdict::no(
          fmt::format("{}: {} is not a type that it reads", name_of(input), to_string(dtype)));
    }
  }
  if (const Verdict verdict = supports_output(problem); !verdict.supported) return verdict;
  if (cpu_level() >= core.level) return Verdict::yes();
  return Verdict::no(
      fmt::format("needs {}, this CPU offers {}", to_string(core.level), to_string(cpu_level())));
}

int64_t linear_workspace(const GemmCore& core, const Problem& problem) {
  const Shape& x = problem.inputs[kX].shape;
  const auto& params = std::get<LinearParams>(problem.params);
  if (needs_blocks(core, problem.inputs[kWeight].dtype, params)) return 0;
  return gemm_workspace(core, x[0], x[1]);
}

void cpu_linear(const GemmCore& core, const LinearArgs& args, std::span<std::byte> workspace,
                ThreadPool* pool) {
  if (needs_blocks(core, args.weight.dtype, *args.params))
    return cpu_linear_blocks(core, args, pool);
  const LinearEpilogue epilogue(args);
  gemm(
      core, GemmRows::of(args.x), GemmRows::of(args.weight),
      [&epilogue](int64_t row, int64_t column, std::span<float> sums) {
        epilogue.store(row, column, sums);
      },
      workspace, pool);
}

}  // namespace octavo

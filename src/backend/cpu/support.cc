// Predicates that the kernels' `supports` are made of.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/support.h"

namespace octavo {

bool is_activation(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16; }

Verdict supports_activations(const Problem& problem) {
  for (const auto& input : problem.inputs) {
    if (input.present && is_float(input.dtype) && !is_activation(input.dtype)) {
      return Verdict::no(
          fmt::format("expected float32 or bfloat16 inputs, got {}", to_string(input.dtype)));
    }
  }
  for (const auto& output : problem.outputs) {
    if (!is_activation(output.dtype) && output.dtype != DType::kE4M3) {
      return Verdict::no(fmt::format("expected float32, bfloat16 or float8_e4m3 outputs, got {}",
                                     to_string(output.dtype)));
    }
  }
  return Verdict::yes();
}

Verdict supports_moe(const Problem& problem) {
  Problem floats = problem;
  std::erase_if(floats.outputs, [](const auto& output) { return output.dtype == DType::kI32; });
  return supports_activations(floats);
}

Problem problem_of(Op op, const Operands& operands) {
  Problem problem{.op = op, .params = *operands.params};
  const auto describe = [](const TensorView& view) {
    return Problem::Operand{view.shape, view.dtype, view.defined()};
  };
  for (const TensorView& view : operands.inputs) problem.inputs.push_back(describe(view));
  for (const TensorView& view : operands.outputs) problem.outputs.push_back(describe(view));
  return problem;
}

}  // namespace octavo

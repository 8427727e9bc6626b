// linear of gate and up, swiglu → one call, of experts too: what the linear sums is never written.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

constexpr size_t kGate = 0, kUp = 1, kOutputScale = 2, kOffsets = 3;  // of a swiglu

// The tensor whose two halves the call reads, and nobody else; kNoTensor where there is none.
TensorId lone_halves(const Program& program, int index) {
  const Call& swiglu = program.calls[static_cast<size_t>(index)];
  const ProgramTensor& gate = program.tensor(swiglu.inputs[kGate]);
  const ProgramTensor& up = program.tensor(swiglu.inputs[kUp]);
  const TensorId base = gate.base;
  if (base == kNoTensor || up.base != base || gate.column != 0 ||
      up.column != gate.shape[1].value ||
      program.tensor(base).shape[1].value != 2 * gate.shape[1].value)
    return kNoTensor;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const auto id = static_cast<TensorId>(i);
    if (id != base && program.tensors[i].base != base) continue;
    for (const int reader : consumers_of(program, id)) {
      if (reader != index) return kNoTensor;
    }
  }
  return base;
}

// An FP8 linear with static scales whose result is rounded to bfloat16, as linear_swiglu does.
bool fits(const Program& program, const Call& linear, const Call& swiglu) {
  const bool same_rows = swiglu.op == Op::kSwiglu ? linear.op == Op::kLinear
                                                  : linear.op == Op::kGroupedLinear &&
                                                        linear.inputs[4] == swiglu.inputs[kOffsets];
  return same_rows && std::get<LinearParams>(linear.params).block_rows == 0 &&
         program.tensor(linear.inputs[0]).dtype == DType::kE4M3 &&
         program.tensor(linear.inputs[1]).dtype == DType::kE4M3 &&
         program.tensor(linear.inputs[2]).shape.size() == 1 &&
         program.tensor(linear.outputs[0]).dtype == DType::kBF16;
}

}  // namespace

void fuse_linear_swiglu(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call swiglu = program.calls[i];
    const bool of_experts = swiglu.op == Op::kGroupedSwiglu;
    if (!of_experts && swiglu.op != Op::kSwiglu) continue;
    if (swiglu.inputs[kOutputScale] == kNoTensor) continue;
    const TensorId both = lone_halves(program, static_cast<int>(i));
    const int index = both == kNoTensor ? -1 : producer_of(program, both);
    if (index < 0 || !fits(program, program.calls[static_cast<size_t>(index)], swiglu)) continue;
    Call fused = program.calls[static_cast<size_t>(index)];
    fused.op = of_experts ? Op::kGroupedLinearSwiglu : Op::kLinearSwiglu;
    fused.inputs.push_back(swiglu.inputs[kOutputScale]);
    fused.outputs = swiglu.outputs;
    program.calls[i] = std::move(fused);
    remove_calls(program, {index});
    --i;
  }
}

}  // namespace octavo

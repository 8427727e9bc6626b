// quantize folded into the call before it, which then writes codes: half the traffic.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// Position of the optional output_scale among an op's inputs, or -1.
int output_scale_operand(Op op) {
  const std::vector<OperandName>& inputs = op_info(op).inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].name == "output_scale") return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

void fuse_quantize(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call quantize = program.calls[i];
    if (quantize.op != Op::kQuantize) continue;
    const int index = producer_of(program, quantize.inputs[0]);
    if (index < 0 || consumers_of(program, quantize.inputs[0]).size() != 1) continue;
    Call& producer = program.calls[static_cast<size_t>(index)];
    const int operand = output_scale_operand(producer.op);
    if (operand < 0 || producer.outputs.back() != quantize.inputs[0]) continue;
    producer.inputs[static_cast<size_t>(operand)] = quantize.inputs[1];
    producer.outputs.back() = quantize.outputs[0];
    remove_calls(program, {static_cast<int>(i)});
    --i;
  }
}

}  // namespace octavo

// swiglu and the quantize of its experts' rows become one call, which then writes codes.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"
#include "program/rewrite.h"

namespace octavo {

void fuse_grouped_swiglu(Draft& draft) {
  Program& program = draft.program;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call quantize = program.calls[i];
    if (quantize.op != Op::kGroupedQuantize) continue;
    const int index = producer_of(program, quantize.inputs[0]);
    if (index < 0 || consumers_of(program, quantize.inputs[0]).size() != 1) continue;
    Call& swiglu = program.calls[static_cast<size_t>(index)];
    if (swiglu.op != Op::kSwiglu) continue;
    swiglu.op = Op::kGroupedSwiglu;
    swiglu.inputs = {swiglu.inputs[0], swiglu.inputs[1], quantize.inputs[1], quantize.inputs[2]};
    swiglu.outputs = quantize.outputs;
    remove_calls(program, {static_cast<int>(i)});
    --i;
  }
}

}  // namespace octavo

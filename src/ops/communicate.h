// all_reduce, reduce_scatter, all_gather, send, recv: matrices that move between ranks.
// SPDX-License-Identifier: Apache-2.0
//
// A call names no rank: who takes part is the business of the communicator in the LaunchContext. A
// fusion of all_reduce with the residual add, norm and quantize calls after it replaces them all.
#pragma once

#include "ops/kernel.h"

namespace octavo {

struct GroupArgs {  // all_reduce, reduce_scatter, all_gather
  TensorView x;     // [rows, columns]: this rank's
  TensorView y;     // the sum, its part, or everybody's x
  const GroupParams* params = nullptr;

  static GroupArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .y = operands.outputs[0],
            .params = &std::get<GroupParams>(*operands.params)};
  }
};

}  // namespace octavo

// all_reduce, reduce_scatter, all_gather, send, recv: matrices that move between ranks; and
// all_reduce with the residual add and the RMS norm behind it.
// SPDX-License-Identifier: Apache-2.0
//
// A call names no rank: who takes part is the business of the communicator in the LaunchContext.
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

struct ReduceNormArgs {     // all_reduce_add_rms_norm
  TensorView x;             // [tokens, hidden]: this rank's part, which the call may overwrite
  TensorView residual;      // [tokens, hidden]; where sharded, or this rank's rows of it
  TensorView weight;        // [hidden]
  TensorView output_scale;  // [1] float32, present where y is E4M3
  TensorView sum;           // [tokens, hidden]: of all ranks' x, rounded, and the residual; where
                            // sharded [ceil(tokens / ranks), hidden]: rows beyond are left alone
  TensorView y;             // [tokens, hidden]: its norm
  const ReduceNormParams* params = nullptr;

  static ReduceNormArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .residual = operands.inputs[1],
            .weight = operands.inputs[2],
            .output_scale = operands.inputs[3],
            .sum = operands.outputs[0],
            .y = operands.outputs[1],
            .params = &std::get<ReduceNormParams>(*operands.params)};
  }
};

}  // namespace octavo

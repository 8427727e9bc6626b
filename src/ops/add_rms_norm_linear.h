// Residual add, RMS norm, quantize and the FP8 linear behind them in one, with SwiGLU where asked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "ops/kernel.h"

namespace octavo {

// The result is that of add_rms_norm with the linear's input scale, and then of linear or, where
// there is an output_scale, of linear_swiglu: bit for bit. Outputs lie in no memory of an input: a
// kernel may read x and residual in many places, and write before the last of them has.
struct AddRmsNormLinearArgs {
  TensorView x;             // [tokens, hidden]
  TensorView residual;      // [tokens, hidden]
  TensorView norm_weight;   // [hidden]
  TensorView weight;        // [out, hidden] E4M3
  TensorView input_scale;   // [1] float32, of the normed rows
  TensorView weight_scale;  // [segments] float32
  TensorView bias;          // [out]
  TensorView output_scale;  // [1] float32: y is the codes of linear_swiglu
  TensorView sum;           // [tokens, hidden]
  TensorView y;             // [tokens, out], or [tokens, out / 2] E4M3
  const NormLinearParams* params = nullptr;

  static AddRmsNormLinearArgs bind(const Operands& operands) {
    const std::span<const TensorView> in = operands.inputs;
    return {.x = in[0],
            .residual = in[1],
            .norm_weight = in[2],
            .weight = in[3],
            .input_scale = in[4],
            .weight_scale = in[5],
            .bias = in[6],
            .output_scale = in[7],
            .sum = operands.outputs[0],
            .y = operands.outputs[1],
            .params = &std::get<NormLinearParams>(*operands.params)};
  }
};

// The two calls that one stands for; `between` holds the codes that the linear reads.
class NormThenLinear {
 public:
  NormThenLinear(const Operands& whole, const TensorView& between);
  NormThenLinear(const NormThenLinear&) = delete;
  NormThenLinear& operator=(const NormThenLinear&) = delete;

  Operands norm() const;
  Operands linear() const;  // or linear_swiglu

 private:
  std::array<TensorView, 4> norm_inputs_;
  std::array<TensorView, 2> norm_outputs_;
  OpParams norm_params_;
  std::array<TensorView, 6> linear_inputs_;
  size_t linear_inputs_used_;
  TensorView y_;
  OpParams linear_params_;
};

// What kernels of the two are asked. The linear's op is kLinear or kLinearSwiglu.
Problem norm_part(const Problem& whole);
Problem linear_part(const Problem& whole);

// Bytes of the codes between the two, for an x of this shape, rounded up so that a workspace may go
// on behind them.
int64_t between_bytes(const Shape& x);

}  // namespace octavo

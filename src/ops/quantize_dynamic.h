// Quantize with scales made from the data: E4M3 codes and a scale of every row and group.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <tuple>
#include <utility>

#include "core/quant_scheme.h"
#include "ops/kernel.h"

namespace octavo {

// What makes codes of a scheme whose scales are made at run time.
inline QuantizeParams quantize_params(const QuantScheme& inputs,
                                      const std::optional<std::pair<float, float>>& clamp) {
  QuantizeParams params{.group = inputs.block_columns};
  if (clamp) std::tie(params.clamp_low, params.clamp_high) = *clamp;
  return params;
}

struct QuantizeDynamicArgs {
  TensorView x;      // [rows, columns]
  TensorView scale;  // [rows, groups] float32
  TensorView y;      // [rows, columns] E4M3
  const QuantizeParams* params = nullptr;

  static QuantizeDynamicArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .scale = operands.outputs[0],
            .y = operands.outputs[1],
            .params = &std::get<QuantizeParams>(*operands.params)};
  }
};

}  // namespace octavo

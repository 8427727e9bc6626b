// Scales and codes of weights, block by block: to_code(value / scale), an exact division.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/quant_scheme.h"

namespace octavo {

// The scales of one tensor, row-major.
struct ScaleTensor {
  Shape shape;
  std::vector<float> values;

  static ScaleTensor scalar(float value) { return {.shape = {}, .values = {value}}; }
  bool operator==(const ScaleTensor&) const = default;
};

// The largest absolute value of every block of a [rows, columns] weight.
std::vector<float> block_amax(const TensorView& weight, const QuantScheme& scheme);
// The largest code of the element type: 448, 127, 7.
float largest_code(DType element);

// Codes of rows of a weight of float32, bfloat16 or float16, the first of them row `first_row` of
// the matrix (even where two rows share a byte), in the layout that stored_shape() names.
void encode_rows(const TensorView& rows, int64_t first_row, const QuantScheme& scheme,
                 const ScaleTensor& scales, std::byte* to);

}  // namespace octavo

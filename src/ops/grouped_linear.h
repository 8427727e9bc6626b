// Grouped linear: y = x · weight[e]ᵀ times the scales of e, where e is the expert of x's row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/linear.h"

namespace octavo {

struct GroupedLinearArgs {
  TensorView x;             // [rows, in] float, or E4M3 with input_scale
  TensorView weight;        // [experts, out, in] float, or codes with weight_scale
  TensorView input_scale;   // float32: [experts], or [rows, 1 or parts of K] made at run time
  TensorView weight_scale;  // float32: [experts × segments], or [experts, blocks of rows, parts]
  TensorView offsets;       // [experts + 1] int32: expert e has the rows [offsets[e], …[e + 1])
  TensorView y;             // [rows, out] float; rows of no expert are zero
  const LinearParams* params = nullptr;  // segments of one expert's rows

  static GroupedLinearArgs bind(const Operands& operands) {
    return {.x = operands.inputs[0],
            .weight = operands.inputs[1],
            .input_scale = operands.inputs[2],
            .weight_scale = operands.inputs[3],
            .offsets = operands.inputs[4],
            .y = operands.outputs[0],
            .params = &std::get<LinearParams>(*operands.params)};
  }

  int64_t experts() const { return weight.shape[0]; }
  int64_t begin(int64_t expert) const { return offsets.as<int32_t>()[expert]; }
  int64_t end(int64_t expert) const { return offsets.as<int32_t>()[expert + 1]; }
  // The linear of one expert over its rows; offsets must be readable here.
  LinearArgs expert(int64_t expert) const;
};

// Rows [begin, end) of a matrix.
inline TensorView slice_rows(const TensorView& matrix, int64_t begin, int64_t end) {
  TensorView rows = matrix;
  rows.data += begin * matrix.row_stride * size_of(matrix.dtype);
  rows.shape[0] = end - begin;
  return rows;
}

// Elements [begin, begin + count) of a vector, or nothing where it is absent.
inline TensorView slice_vector(const TensorView& vector, int64_t begin, int64_t count) {
  if (!vector.defined()) return {};
  return {vector.data + begin * size_of(vector.dtype), vector.dtype, {count}};
}

// One matrix of a stack.
inline TensorView slice_stack(const TensorView& stack, int64_t index) {
  const int64_t rows = stack.shape[1], columns = stack.shape[2];
  return TensorView(stack.data + index * rows * columns * size_of(stack.dtype), stack.dtype,
                    {rows, columns});
}

inline LinearArgs GroupedLinearArgs::expert(int64_t expert) const {
  const int64_t segments = std::max<int64_t>(1, std::ssize(params->segment_rows));
  const bool of_rows = input_scale.defined() && input_scale.shape.rank() == 2;
  const bool of_blocks = weight_scale.defined() && weight_scale.shape.rank() == 3;
  return {.x = slice_rows(x, begin(expert), end(expert)),
          .weight = slice_stack(weight, expert),
          .input_scale = of_rows ? slice_rows(input_scale, begin(expert), end(expert))
                                 : slice_vector(input_scale, expert, 1),
          .weight_scale = of_blocks ? slice_stack(weight_scale, expert)
                                    : slice_vector(weight_scale, expert * segments, segments),
          .bias = {},
          .y = slice_rows(y, begin(expert), end(expert)),
          .params = params};
}

}  // namespace octavo

// Rows of tensors as float32: how CPU kernels read and write any element type.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: one place that switches on element types. A kernel computes on float32 rows; reading is
// exact, writing rounds once.
#pragma once

#include <cstdint>
#include <string_view>

#include "ops/kernel.h"

namespace octavo {

// Row `row` of a float32, bfloat16 or E4M3 (codes, unscaled) tensor: the row itself where it is
// float32, else converted into `buffer`, which holds columns() elements.
const float* read_row(const TensorView& x, int64_t row, float* buffer);

// The sum of row `row` of two tensors in `sum`; `buffer` is overwritten.
void add_row(const TensorView& a, const TensorView& b, int64_t row, float* sum, float* buffer);

// `count` elements at `source` as float32 in `out`.
void convert_to_float(DType dtype, const void* source, float* out, int64_t count);

// Copies a row of a float32 or bfloat16 tensor into a row of another one, equally wide.
void copy_row(const TensorView& from, int64_t from_row, const TensorView& to, int64_t to_row);

// Sets rows [begin, end) of a matrix to zero.
void clear_rows(const TensorView& y, int64_t begin, int64_t end);

// How values become the elements of an output. Where it is E4M3 they are first rounded to
// `intermediate`, the type that the unfused op would have written, and then quantized: so a fused
// kernel writes the bytes of its unfused expansion.
class RowWriter {
 public:
  // `scale` is the [1] float32 operand of an E4M3 output, undefined otherwise.
  RowWriter(DType output, DType intermediate, const TensorView& scale);

  // Writes `count` elements at `out`, which may be `values` where it is float32.
  void write(const float* values, void* out, int64_t count) const;
  void write_row(const float* values, const TensorView& y, int64_t row) const;

 private:
  DType output_;
  DType intermediate_;
  float inverse_scale_ = 1.0f;
};

// Rounds float32 values to what `dtype` (float32 or bfloat16) can hold.
void round_values(DType dtype, float* values, int64_t count);

// Rows a thread takes at once, so that a piece is worth a hand-over.
int64_t rows_grain(int64_t columns);

// index, checked to be in [0, limit): indices of a step are data, and must never read or write out
// of bounds. Throws Error(kInternal) "[op] operand[position]: expected …, got …".
int64_t checked_index(int64_t index, int64_t limit, std::string_view operand, int64_t position);

}  // namespace octavo

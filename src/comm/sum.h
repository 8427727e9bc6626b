// Rows of matrices that ranks sum and move.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/tensor.h"

namespace octavo {

// Columns [begin, end) of a matrix.
TensorView columns_of(const TensorView& matrix, int64_t begin, int64_t end);

// Row `to_row` of every one of `sums` = the sum of the `terms`' row from column `first` on, as many
// columns as the sums have; float32 and bfloat16, added in float32 in the order of the terms,
// starting with the first one (so that −0 + −0 is −0), rounded once.
void sum_row(std::span<const TensorView> terms, int64_t row, int64_t first,
             std::span<const TensorView> sums, int64_t to_row);

void copy_row_bytes(const TensorView& from, int64_t from_row, const TensorView& to, int64_t to_row);
void zero_row(const TensorView& to, int64_t row);

}  // namespace octavo

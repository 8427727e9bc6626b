// Embedding and gather_rows: rows of a table copied by index.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/launch.h"

namespace octavo::cuda {

struct RowCopy {
  const int32_t* index;
  const std::byte* from;
  std::byte* to;
  int64_t from_stride;  // bytes
  int64_t to_stride;
  int64_t row_bytes;
  int64_t rows;
  // Of a table that is part of a larger one: the index of its first row, and its rows; others are
  // filled with `other`, four bytes at a time.
  int64_t first = 0;
  int64_t table_rows = 0;  // 0: the table is whole
  uint32_t other = 0;
};

void launch_row_copy(const RowCopy& copy, const Launch& where);

}  // namespace octavo::cuda

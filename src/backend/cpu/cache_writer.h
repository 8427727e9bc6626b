// Writes rows of keys or values into slots of the paged cache.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/rows.h"

namespace octavo {

class CacheWriter {
 public:
  // cache: [blocks, kv_heads, tokens_per_block, head_dim]; `row_type` is the type of the rows, and
  // `scale` is present where the cache is E4M3.
  CacheWriter(const TensorView& cache, DType row_type, const TensorView& scale)
      : cache_(cache), writer_(cache.dtype, row_type, scale) {}

  // row: [kv_heads × head_dim]. Throws Error(kInternal) where the slot lies outside the cache.
  void write(const float* row, int64_t slot) const;

 private:
  TensorView cache_;
  RowWriter writer_;
};

}  // namespace octavo

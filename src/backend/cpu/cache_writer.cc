// Writes rows of keys or values into slots of the paged cache.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cache_writer.h"

namespace octavo {

void CacheWriter::write(const float* row, int64_t slot) const {
  const int64_t heads = cache_.shape[1];
  const int64_t tokens_per_block = cache_.shape[2];
  const int64_t head_dim = cache_.shape[3];
  checked_index(slot, cache_.shape[0] * tokens_per_block, "[kv_append] slots", 0);
  const int64_t block = slot / tokens_per_block;
  const int64_t offset = slot % tokens_per_block;
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t element =
        block * cache_.row_stride + (head * tokens_per_block + offset) * head_dim;
    writer_.write(row + head * head_dim, cache_.data + element * size_of(cache_.dtype), head_dim);
  }
}

}  // namespace octavo

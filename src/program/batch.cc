// Assembly of a step's metadata.
// SPDX-License-Identifier: Apache-2.0
#include "program/batch.h"

namespace octavo {

void Batch::clear() {
  const int64_t width = table_width;
  *this = Batch{};
  table_width = width;
}

int32_t Batch::append(const std::vector<int32_t>& ids, int32_t first_position,
                      const std::vector<int32_t>& blocks, int64_t tokens_per_block) {
  OCTAVO_CHECK(static_cast<int64_t>(blocks.size()) <= table_width);
  const auto start = static_cast<int32_t>(token_ids.size());
  const auto length = static_cast<int32_t>(ids.size());
  OCTAVO_CHECK(first_position + length <= static_cast<int64_t>(blocks.size()) * tokens_per_block);
  for (int32_t i = 0; i < length; ++i) {
    const int64_t position = first_position + i;
    token_ids.push_back(ids[static_cast<size_t>(i)]);
    token_slots.push_back(-1);
    positions.push_back(static_cast<int32_t>(position));
    const int64_t block = blocks[static_cast<size_t>(position / tokens_per_block)];
    slots.push_back(block * tokens_per_block + position % tokens_per_block);
  }
  query_start.push_back(start);
  query_length.push_back(length);
  kv_length.push_back(first_position + length);
  block_table.insert(block_table.end(), blocks.begin(), blocks.end());
  block_table.resize(query_start.size() * static_cast<size_t>(table_width), 0);
  return start;
}

void Batch::pad(int64_t sequences) {
  OCTAVO_CHECK(token_ids.size() == query_start.size());
  const auto count = static_cast<size_t>(sequences);
  for (size_t row = token_ids.size(); row < count; ++row)
    query_start.push_back(static_cast<int32_t>(row));
  token_ids.resize(count, 0);
  token_slots.resize(count, -1);
  positions.resize(count, 0);
  slots.resize(count, -1);
  query_length.resize(count, 0);
  kv_length.resize(count, 0);
  block_table.resize(count * static_cast<size_t>(table_width), 0);
  logit_rows.resize(count, 0);
}

SymbolValues Batch::sizes(int64_t cache_blocks) const {
  return {.tokens = static_cast<int64_t>(token_ids.size()),
          .sequences = static_cast<int64_t>(query_start.size()),
          .logit_rows = static_cast<int64_t>(logit_rows.size()),
          .cache_blocks = cache_blocks,
          .table_width = table_width};
}

}  // namespace octavo

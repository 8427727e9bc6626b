// Batch: the metadata of one step, bound to the Program's inputs by name.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "ops/dim.h"
#include "program/program.h"

namespace octavo {

// Names of the Program's inputs.
inline constexpr std::string_view kTokenIds = "token_ids";
inline constexpr std::string_view kPositions = "positions";
inline constexpr std::string_view kSlots = "slots";
inline constexpr std::string_view kQueryStart = "query_start";
inline constexpr std::string_view kQueryLength = "query_length";
inline constexpr std::string_view kKvLength = "kv_length";
inline constexpr std::string_view kBlockTable = "block_table";
inline constexpr std::string_view kLogitRows = "logit_rows";

// Name of the Program's output: [logit_rows, vocab] float32.
inline constexpr std::string_view kLogits = "logits";

struct Batch {
  std::vector<int32_t> token_ids;  // [tokens]
  std::vector<int32_t>
      token_slots;                 // [tokens]: the slot whose last sample replaces the id; -1: none
  std::vector<int32_t> positions;  // [tokens]
  std::vector<int64_t> slots;      // [tokens]: block × tokens_per_block + offset; -1: not written
  std::vector<int32_t> query_start;   // [sequences]
  std::vector<int32_t> query_length;  // [sequences]
  std::vector<int32_t> kv_length;     // [sequences]
  std::vector<int32_t> block_table;   // [sequences, table_width], row-major
  int64_t table_width = 0;
  std::vector<int32_t> logit_rows;  // [logit_rows]: rows of this step that lm_head runs on

  void clear();
  // Adds a sequence of `ids` at positions first_position, first_position + 1, … whose cache lives
  // in `blocks`. Returns the first of its rows. `table_width` must be set and >= blocks.size()
  // before the first call.
  int32_t append(const std::vector<int32_t>& ids, int32_t first_position,
                 const std::vector<int32_t>& blocks, int64_t tokens_per_block);
  // Adds sequences of one token that read and write nothing, and as many rows of logits, up to
  // `sequences`.
  void pad(int64_t sequences);
  SymbolValues sizes(int64_t cache_blocks) const;
};

}  // namespace octavo

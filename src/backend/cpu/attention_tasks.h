// How an attention call is cut into independent tasks, and the check of its indices.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "ops/attention.h"

namespace octavo {

// Some consecutive query tokens of one sequence against one KV head and the query heads that share
// it.
struct AttentionTask {
  int64_t sequence = 0;
  int64_t kv_head = 0;
  int64_t row = 0;       // first row of q
  int64_t tokens = 0;    // rows of q
  int64_t position = 0;  // of the first row, within its sequence
};

// First key that the query at `position` sees; the last one is at `position` itself.
int64_t first_key(int64_t position, int64_t window);

// Throws Error(kInternal) where lengths or block ids would read outside the cache, q or the table,
// or where a row of q belongs to two sequences.
std::vector<AttentionTask> make_attention_tasks(const AttentionArgs& args);

// Rows of q that belong to no sequence.
std::vector<int64_t> rows_without_sequence(const AttentionArgs& args);

}  // namespace octavo

// How an attention call is cut into independent tasks.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/attention_tasks.h"

#include <algorithm>

#include "backend/cpu/rows.h"
#include "core/checked.h"

namespace octavo {
namespace {

// Rows of q times heads of a group that one task works on; sized for the first-level cache.
constexpr int64_t kRowsOfTask = 64;

[[noreturn]] void fail(std::string_view operand, int64_t sequence, std::string_view expected,
                       int64_t got) {
  throw Error(ErrorCategory::kInternal, fmt::format("[attention] {}[{}]: expected {}, got {}",
                                                    operand, sequence, expected, got));
}

void check_lengths(const AttentionArgs& args, int64_t s) {
  const int64_t start = args.query_start.as<int32_t>()[s];
  const int64_t length = args.query_length.as<int32_t>()[s];
  const int64_t kv_length = args.kv_length.as<int32_t>()[s];
  if (length < 0) fail("query_length", s, "0 or more", length);
  if (start < 0 || start + length > args.q.rows()) fail("query_start", s, "rows of q", start);
  if (kv_length < length) fail("kv_length", s, fmt::format("{} or more", length), kv_length);
  const int64_t capacity = args.block_table.shape[1] * args.k_cache.shape[2];
  if (kv_length > capacity) fail("kv_length", s, fmt::format("{} or less", capacity), kv_length);
}

// Only the blocks that will be read: those behind the window may have been given back.
void check_blocks(const AttentionArgs& args, int64_t s) {
  const int64_t kv_length = args.kv_length.as<int32_t>()[s];
  const int64_t position = kv_length - args.query_length.as<int32_t>()[s];
  const int64_t tokens_per_block = args.k_cache.shape[2];
  const int64_t first = first_key(position, args.params->window) / tokens_per_block;
  for (int64_t i = first; i < ceil_div(kv_length, tokens_per_block); ++i) {
    checked_index(args.block_table.row<int32_t>(s)[i], args.k_cache.shape[0],
                  "[attention] block_table", i);
  }
}

}  // namespace

int64_t first_key(int64_t position, int64_t window) {
  return window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
}

std::vector<AttentionTask> make_attention_tasks(const AttentionArgs& args) {
  const int64_t group = args.params->num_heads / args.params->num_kv_heads;
  const int64_t tokens_of_task = std::max<int64_t>(1, kRowsOfTask / group);
  std::vector<AttentionTask> tasks;
  for (int64_t s = 0; s < args.query_start.rows(); ++s) {
    const int64_t length = args.query_length.as<int32_t>()[s];
    if (length == 0) continue;
    check_lengths(args, s);
    check_blocks(args, s);
    const int64_t start = args.query_start.as<int32_t>()[s];
    const int64_t position = args.kv_length.as<int32_t>()[s] - length;
    for (int64_t token = 0; token < length; token += tokens_of_task) {
      for (int64_t head = 0; head < args.params->num_kv_heads; ++head) {
        tasks.push_back({.sequence = s,
                         .kv_head = head,
                         .row = start + token,
                         .tokens = std::min(tokens_of_task, length - token),
                         .position = position + token});
      }
    }
  }
  return tasks;
}

std::vector<int64_t> rows_without_sequence(const AttentionArgs& args) {
  std::vector<bool> taken(static_cast<size_t>(args.q.rows()));
  for (int64_t s = 0; s < args.query_start.rows(); ++s) {
    const int64_t start = args.query_start.as<int32_t>()[s];
    for (int64_t i = 0; i < args.query_length.as<int32_t>()[s]; ++i) {
      if (taken[start + i]) fail("query_start", s, "rows of no other sequence", start);
      taken[start + i] = true;
    }
  }
  std::vector<int64_t> free_rows;
  for (int64_t row = 0; row < args.q.rows(); ++row) {
    if (!taken[row]) free_rows.push_back(row);
  }
  return free_rows;
}

}  // namespace octavo

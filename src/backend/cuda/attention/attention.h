// Attention over the paged KV cache: what its kernels share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo {
struct Operands;  // ops/kernel.h
}

namespace octavo::cuda {

struct AttentionCall {
  const void* q;  // [tokens, heads × head_dim]
  const std::byte* k_cache;
  const std::byte* v_cache;
  const int32_t* query_start;
  const int32_t* query_length;
  const int32_t* kv_length;
  const int32_t* block_table;
  const float* k_scale;       // null: not E4M3
  const float* v_scale;       // null: not E4M3
  const float* output_scale;  // null: y has q's type
  void* y;
  int64_t q_stride, y_stride, table_stride;
  int64_t tokens;
  int64_t cache_blocks;
  int sequences, table_width, tokens_per_block;
  int heads, kv_heads, head_dim;
  float softmax_scale;
  int64_t window;  // 0: none
  DType activation;
  DType cache;
  DType output;
};

// The operands of an attention.
AttentionCall bind_attention(const Operands& operands);

// Which sequences a launch serves, by their rows in this step.
struct QueryRange {
  int least = 1;
  int most = INT32_MAX;
};

// When a decode launch starts and how its CTAs spread; to be measured beside other kernels.
enum class DecodeStart {
  kUsual,  // early where its CTAs do not crowd
  kEarly,  // always while its predecessor runs, where launches are programmatic
  kAlone,  // the same with at most one CTA a multiprocessor
};

// One token a sequence, or few: the keys and values of a sequence and KV head are streamed by a
// cluster of `split` CTAs; there are as many clusters as fit, and each serves several such pairs.
// Rows of no sequence become zero where `zero_rows`; then the call has a row for each sequence.
struct DecodePlan {
  QueryRange queries;
  int split = 2;  // 2, 4, 8 or 16
  bool zero_rows = true;
  DecodeStart start = DecodeStart::kUsual;
  // A ring of three stages where a cluster has one pair: room for a CTA of the kernel behind it.
  bool short_ring = false;
  // The next kernel is let in when the last keys are asked for, not when they have been read.
  bool keys_let_in = false;
};
// Follows the number of sequences, never their lengths.
DecodePlan plan_decode(int sequences, int kv_heads, int multiprocessors);
// The plan with what a tactic says, as "early short keys split 8". The words change when things are
// asked for; the split alone also changes the order of sums. A builder measures them in a whole
// layer, as they need the kernels before and behind. Error where it makes no sense.
DecodePlan read_tactic(DecodePlan plan, std::string_view tactic);
// The same; a tactic that makes no sense counts for nothing, as of all kernels (ops/kernel.h).
DecodePlan with_tactic(const DecodePlan& plan, std::string_view tactic);
void launch_attention_decode(const AttentionCall& call, const DecodePlan& plan,
                             const Launch& where);

// A new token's key and value as their linear wrote them, and how to append them.
struct NewTokens {
  const void* k;
  const void* v;
  const int32_t* positions;
  const float* inverse_frequency;
  const int64_t* slots;
  std::byte* k_cache;
  std::byte* v_cache;
  int64_t k_stride, v_stride;
};
// RoPE of q and of the new keys, append and decode attention in one; q is not rotated yet. At most
// one row a sequence. It has the bits of the two launches, and wants rows of q, k, v and y aligned
// to four elements.
bool can_launch_rope_attention(const AttentionCall& call, const NewTokens& tokens);
void launch_rope_attention(const AttentionCall& call, const NewTokens& tokens,
                           const DecodePlan& plan, const Launch& where);

// Many tokens a sequence: tiles of query rows against tiles of keys. Rows of no sequence become
// zero. The first is Hopper's and wants rows of q and y aligned to 16 bytes.
void launch_attention_context(const AttentionCall& call, const QueryRange& queries,
                              const Launch& where);
// The same with queries rounded to E4M3, each row and head after a power of two has brought its
// largest into [128, 256); the cache is E4M3.
void launch_attention_context_fp8(const AttentionCall& call, const QueryRange& queries,
                                  const Launch& where);
void launch_attention_context_portable(const AttentionCall& call, const QueryRange& queries,
                                       const Launch& where);

// Of the current device.
int multiprocessors();

// Any shape, one block a row and head.
void launch_attention_reference(const AttentionCall& call, const Launch& where);

}  // namespace octavo::cuda

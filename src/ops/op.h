// The ops of a Program: their names, parameters, operands and shape rules; no implementation.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: one header per op with its argument struct; a rule that checks any call, so that a Program
// read from a file can be trusted after validation. Non-goals: autodiff, dynamic graphs.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "ops/dim.h"

namespace octavo {

enum class Op : uint8_t {
  kEmbedding,
  kRmsNorm,
  kAdd,
  kAddRmsNorm,
  kQuantize,
  kQuantizeDynamic,
  kLinear,
  kRope,
  kKvAppend,
  kRopeKvAppend,
  kAttention,
  kRopeAttention,
  kSwiglu,
  kLinearSwiglu,
  kAddRmsNormLinear,
  kGatherRows,
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kSend,
  kRecv,
  kAllReduceAddRmsNorm,
  kRoute,
  kPermute,
  kGroupedLinear,
  kGroupedQuantize,
  kGroupedSwiglu,
  kGroupedLinearSwiglu,
  kCombine,
};
inline constexpr int kOpCount = static_cast<int>(Op::kCombine) + 1;

// Whether the op moves data between ranks.
constexpr bool is_communication(Op op) {
  return op >= Op::kAllReduce && op <= Op::kAllReduceAddRmsNorm;
}

struct EmbeddingParams {  // of a table that is one rank's part of the vocabulary
  int64_t first_id = 0;   // of the table's first row
};

struct RmsNormParams {  // rms_norm, add_rms_norm
  float epsilon = 1e-5f;
};

struct LinearParams {  // linear, linear_swiglu, grouped_linear, grouped_linear_swiglu
  // Rows of the weight that share one weight scale, in order; empty means a single segment.
  std::vector<int64_t> segment_rows;
  // Elements of the weight that share a scale where not whole segments do: weight_scale is then
  // [out / block_rows, in / block_columns], rounded up. block_columns of 0: all of them.
  int64_t block_rows = 0;
  int64_t block_columns = 0;

  // How many parts of K have scales of their own.
  int64_t depth_blocks(int64_t depth) const {
    return block_columns == 0 ? 1 : (depth + block_columns - 1) / block_columns;
  }
};

struct NormLinearParams {  // add_rms_norm_linear
  float epsilon = 1e-5f;
  std::vector<int64_t> segment_rows;  // as LinearParams have them
};

struct QuantizeParams {  // quantize_dynamic
  int64_t group = 0;     // columns that share a scale; 0: all
  // Values are first brought into this range; the defaults leave every finite value as it is.
  float clamp_low = std::numeric_limits<float>::lowest();
  float clamp_high = std::numeric_limits<float>::max();
};

struct RopeParams {  // rope, rope_kv_append
  int64_t head_dim = 0;
};

struct AttentionParams {  // attention, rope_attention
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  float softmax_scale = 1.0f;
  int64_t window = 0;  // keys older than this many tokens are masked; 0: none
};

struct RouteParams {
  int64_t top_k = 0;       // experts a token
  bool normalize = false;  // weights sum to 1 over the chosen experts; else over all
};

struct PermuteParams {
  int64_t num_experts = 0;
};

struct GroupParams {     // all_reduce, reduce_scatter, all_gather
  int64_t ranks = 1;     // that take part
  bool by_rows = false;  // each rank has ceil(rows / ranks) rows; else its share of the columns
};

struct RecvParams {
  int64_t columns = 0;
};

struct ReduceNormParams {  // all_reduce_add_rms_norm
  int64_t ranks = 1;
  float epsilon = 1e-5f;
  bool sharded = false;  // each rank keeps the sums of ceil(rows / ranks) rows, and norms those
  // x is written nowhere but in memory of its own (program/memory_plan.h), which no call touches
  // again before every rank has begun a later exchange.
  bool user_buffer = false;
};

using OpParams =
    std::variant<std::monostate, RmsNormParams, LinearParams, QuantizeParams, RopeParams,
                 AttentionParams, RouteParams, PermuteParams, EmbeddingParams, GroupParams,
                 RecvParams, ReduceNormParams, NormLinearParams>;

struct OperandName {
  std::string_view name;
  bool optional = false;
};

// What an op is: the order of its operands and the shapes that its outputs must have.
struct OpInfo {
  Op op;
  std::string_view name;
  std::vector<OperandName> inputs;
  std::vector<OperandName> outputs;
  // Shapes of the outputs; throws Error(kBadFile) "[op] operand: expected …, got …" where inputs do
  // not fit. Also checks the element types of the inputs.
  std::vector<SymbolicShape> (*infer)(std::span<const OperandSpec> inputs, const OpParams& params);
  size_t index_outputs = 0;  // that many of the outputs, the first, are int32 indices
};

const OpInfo& op_info(Op op);
std::optional<Op> op_from_string(std::string_view name);
std::string_view to_string(Op op);

// Checks one whole call: operand counts, presence, shapes and element types.
void check_call(Op op, std::span<const OperandSpec> inputs, std::span<const OperandSpec> outputs,
                const OpParams& params);

}  // namespace octavo

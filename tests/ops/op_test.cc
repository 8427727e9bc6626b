// The shape rules: good calls pass, every bad one is refused with its own message.
// SPDX-License-Identifier: Apache-2.0
#include "ops/op.h"

#include <gtest/gtest.h>

#include <functional>

namespace octavo {
namespace {

const Dim kTokens = Dim::of(Symbol::kTokens);
const Dim kSequences = Dim::of(Symbol::kSequences);
const Dim kBlocks = Dim::of(Symbol::kCacheBlocks);

OperandSpec tensor(SymbolicShape shape, DType dtype = DType::kBF16) {
  return {std::move(shape), dtype, true};
}
OperandSpec rows_of(int64_t columns, DType dtype = DType::kBF16) {
  return tensor({kTokens, Dim::constant(columns)}, dtype);
}
OperandSpec vector_of(int64_t size, DType dtype = DType::kBF16) {
  return tensor(SymbolicShape{Dim::constant(size)}, dtype);
}
OperandSpec scale(int64_t size = 1) { return vector_of(size, DType::kF32); }
OperandSpec absent() { return {{}, DType::kF32, false}; }
OperandSpec indices(const Dim& length, DType dtype = DType::kI32) {
  return tensor(SymbolicShape{length}, dtype);
}
OperandSpec cache(DType dtype = DType::kBF16, int64_t heads = 2) {
  return tensor(SymbolicShape{kBlocks, Dim::constant(heads), Dim::constant(32), Dim::constant(64)},
                dtype);
}

struct CallSpec {
  Op op;
  OpParams params;
  std::vector<OperandSpec> inputs;
  std::vector<OperandSpec> outputs;
};

OperandSpec copies_of(int64_t columns, DType dtype = DType::kBF16) {
  return tensor({Dim::tokens_top_k(2), Dim::constant(columns)}, dtype);
}

// Of an op of experts, or one that fuses others.
CallSpec good_composed(Op op) {
  const OperandSpec choices = rows_of(2, DType::kI32), offsets = vector_of(9, DType::kI32);
  switch (op) {
    case Op::kAllReduceAddRmsNorm:
      return {op,
              ReduceNormParams{.ranks = 4},
              {rows_of(256), rows_of(256), vector_of(256), scale()},
              {rows_of(256), rows_of(256, DType::kE4M3)}};
    case Op::kLinearSwiglu:
      return {op,
              LinearParams{{64, 64}},
              {rows_of(256, DType::kE4M3),
               tensor({Dim::constant(128), Dim::constant(256)}, DType::kE4M3), scale(), scale(2),
               vector_of(128), scale()},
              {rows_of(64, DType::kE4M3)}};
    case Op::kAddRmsNormLinear:
      return {op,
              NormLinearParams{.segment_rows = {64, 64}},
              {rows_of(256), rows_of(256), vector_of(256),
               tensor({Dim::constant(128), Dim::constant(256)}, DType::kE4M3), scale(), scale(2),
               vector_of(128), absent()},
              {rows_of(256), rows_of(128)}};
    case Op::kRopeAttention:
      return {op,
              AttentionParams{.num_heads = 4, .num_kv_heads = 2, .head_dim = 64},
              {rows_of(256), rows_of(128), rows_of(128), indices(kTokens), scale(32),
               indices(kTokens, DType::kI64), indices(kSequences), indices(kSequences),
               indices(kSequences), tensor({kSequences, Dim::of(Symbol::kTableWidth)}, DType::kI32),
               scale(), scale(), absent()},
              {cache(DType::kE4M3), cache(DType::kE4M3), rows_of(256)}};
    case Op::kRoute:
      return {op,
              RouteParams{.top_k = 2},
              {rows_of(8, DType::kF32), indices(kTokens, DType::kI64)},
              {choices, rows_of(2, DType::kF32)}};
    case Op::kPermute:
      return {op,
              PermuteParams{.num_experts = 8},
              {rows_of(256), choices},
              {choices, offsets, copies_of(256)}};
    case Op::kGroupedLinear:
      return {op,
              LinearParams{{100, 28}},
              {copies_of(256, DType::kE4M3),
               tensor({Dim::constant(8), Dim::constant(128), Dim::constant(256)}, DType::kE4M3),
               scale(8), scale(16), offsets},
              {copies_of(128)}};
    case Op::kGroupedQuantize:
      return {op, {}, {copies_of(256), scale(8), offsets}, {copies_of(256, DType::kE4M3)}};
    case Op::kGroupedSwiglu:
      return {op,
              {},
              {copies_of(256), copies_of(256), scale(8), offsets},
              {copies_of(256, DType::kE4M3)}};
    case Op::kGroupedLinearSwiglu:
      return {op,
              LinearParams{{64, 64}},
              {copies_of(256, DType::kE4M3),
               tensor({Dim::constant(8), Dim::constant(128), Dim::constant(256)}, DType::kE4M3),
               scale(8), scale(16), offsets, scale(8)},
              {copies_of(64, DType::kE4M3)}};
    case Op::kCombine:
      return {op, {}, {copies_of(256), choices, rows_of(2, DType::kF32)}, {rows_of(256)}};
    default:
      return {};
  }
}

// A good call of every op.
CallSpec good(Op op) {
  const OperandSpec x = rows_of(256);
  switch (op) {
    case Op::kEmbedding:
      return {op, {}, {indices(kTokens), tensor({Dim::constant(1000), Dim::constant(256)})}, {x}};
    case Op::kRmsNorm:
      return {op, RmsNormParams{}, {x, vector_of(64), absent()}, {x}};
    case Op::kAdd:
      return {op, {}, {x, x}, {x}};
    case Op::kAddRmsNorm:
      return {
          op, RmsNormParams{}, {x, x, vector_of(256), scale()}, {x, rows_of(256, DType::kE4M3)}};
    case Op::kQuantize:
      return {op, {}, {x, scale()}, {rows_of(256, DType::kE4M3)}};
    case Op::kQuantizeDynamic:
      return {op,
              QuantizeParams{.group = 128},
              {x},
              {rows_of(2, DType::kF32), rows_of(256, DType::kE4M3)}};
    case Op::kLinear:
      return {op,
              LinearParams{{100, 28}},
              {rows_of(256, DType::kE4M3),
               tensor({Dim::constant(128), Dim::constant(256)}, DType::kE4M3), scale(), scale(2),
               vector_of(128)},
              {rows_of(128)}};
    case Op::kRope:
      return {op, RopeParams{64}, {x, indices(kTokens), scale(32)}, {x}};
    case Op::kKvAppend:
      return {op,
              {},
              {rows_of(128), rows_of(128), indices(kTokens, DType::kI64), scale(), scale()},
              {cache(DType::kE4M3), cache(DType::kE4M3)}};
    case Op::kRopeKvAppend:
      return {op,
              RopeParams{64},
              {x, rows_of(128), rows_of(128), indices(kTokens), scale(32),
               indices(kTokens, DType::kI64), absent(), absent()},
              {x, cache(), cache()}};
    case Op::kAttention:
      return {op,
              AttentionParams{.num_heads = 4, .num_kv_heads = 2, .head_dim = 64},
              {x, cache(), cache(), indices(kSequences), indices(kSequences), indices(kSequences),
               tensor({kSequences, Dim::of(Symbol::kTableWidth)}, DType::kI32), absent(), absent(),
               absent()},
              {x}};
    case Op::kSwiglu:
      return {op, {}, {x, x, absent()}, {x}};
    case Op::kGatherRows:
      return {op,
              {},
              {x, indices(Dim::of(Symbol::kLogitRows))},
              {tensor({Dim::of(Symbol::kLogitRows), Dim::constant(256)})}};
    case Op::kAllReduce:
      return {op, GroupParams{.ranks = 4}, {x}, {rows_of(256, DType::kF32)}};
    case Op::kReduceScatter:
      return {op,
              GroupParams{.ranks = 4, .by_rows = true},
              {x},
              {tensor({Dim::of(Symbol::kTokens, 1, 4), Dim::constant(256)})}};
    case Op::kAllGather:
      return {op, GroupParams{.ranks = 4}, {x}, {rows_of(1024)}};
    case Op::kSend:
      return {op, {}, {x}, {}};
    case Op::kRecv:
      return {op, RecvParams{256}, {}, {x}};
    default:
      return good_composed(op);
  }
}

std::string message_of(const CallSpec& call) {
  try {
    check_call(call.op, call.inputs, call.outputs, call.params);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    return error.what();
  }
  return "";
}

struct BadCall {
  Op op;
  std::function<void(CallSpec&)> spoil;
  std::string message;
};

TEST(OpTest, GoodCallsPass) {
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    EXPECT_EQ(message_of(good(op)), "") << to_string(op);
    EXPECT_EQ(op_info(op).op, op);
    EXPECT_EQ(op_from_string(to_string(op)), op);
  }
  EXPECT_EQ(op_from_string("no_such_op"), std::nullopt);
}

// Whatever operand is missing, surplus or of a type that no op knows: an error, never a crash.
TEST(OpTest, EveryOperandIsChecked) {
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    const CallSpec call = good(op);
    for (size_t input = 0; input < call.inputs.size(); ++input) {
      const std::string name(op_info(op).inputs[input].name);
      CallSpec missing = call;
      missing.inputs[input] = absent();
      if (!op_info(op).inputs[input].optional) {
        EXPECT_EQ(message_of(missing),
                  fmt::format("[{}] {}: expected a tensor, got none", to_string(op), name));
      }
      CallSpec scalar = call;
      scalar.inputs[input] = tensor(SymbolicShape{});
      EXPECT_NE(message_of(scalar), "") << to_string(op) << " " << name;
      CallSpec bytes = call;
      bytes.inputs[input].dtype = DType::kU8;
      if (call.inputs[input].present) {
        EXPECT_NE(message_of(bytes), "") << to_string(op) << " " << name;
      }
    }
    for (size_t output = 0; output < call.outputs.size(); ++output) {
      CallSpec missing = call;
      missing.outputs[output] = absent();
      EXPECT_EQ(message_of(missing), fmt::format("[{}] {}: expected a tensor, got none",
                                                 to_string(op), op_info(op).outputs[output].name));
      CallSpec other = call;
      other.outputs[output].shape.push_back(Dim::constant(1));
      EXPECT_NE(message_of(other), "") << to_string(op);
    }
    if (call.inputs.empty()) continue;
    CallSpec fewer = call;
    fewer.inputs.pop_back();
    EXPECT_NE(message_of(fewer).find("inputs and"), std::string::npos);
  }
}

TEST(OpTest, ParamsMustBeOfTheOp) {
  for (const Op op :
       {Op::kRmsNorm, Op::kAddRmsNorm, Op::kLinear, Op::kRope, Op::kRopeKvAppend, Op::kAttention,
        Op::kRopeAttention, Op::kAllReduceAddRmsNorm, Op::kRoute, Op::kPermute, Op::kGroupedLinear,
        Op::kLinearSwiglu, Op::kAddRmsNormLinear, Op::kGroupedLinearSwiglu}) {
    CallSpec call = good(op);
    call.params = {};
    EXPECT_EQ(message_of(call), fmt::format("[{}] params: wrong kind", to_string(op)));
  }
}

const std::vector<BadCall> kBadCalls = {
    {Op::kLinearSwiglu,
     [](CallSpec& c) {
       c.params = LinearParams{};
       c.inputs[1].shape[0].value = 127;
       c.inputs[3] = scale();
       c.inputs[4] = absent();
     },
     "[linear_swiglu] weight: expected as many rows of gate as of up, got [127, 256] float8_e4m3"},
    {Op::kLinearSwiglu,
     [](CallSpec& c) {
       c.params = LinearParams{{64, 65}};
     },
     "[linear_swiglu] weight: expected rows equal to the sum of its segments, got [128, 256] "
     "float8_e4m3"},
    {Op::kLinearSwiglu, [](CallSpec& c) { c.inputs[5] = absent(); },
     "[linear_swiglu] y: expected float32 or bfloat16, got float8_e4m3"},
    {Op::kLinearSwiglu, [](CallSpec& c) { c.outputs[0] = rows_of(128, DType::kE4M3); },
     "[linear_swiglu] y: expected [tokens, 64], got [tokens, 128]"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.inputs[4] = absent(); },
     "[add_rms_norm_linear] input_scale: expected a tensor, got none"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.inputs[2] = vector_of(60); },
     "[add_rms_norm] weight: expected [width] with width dividing the columns, got [60] bfloat16"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.inputs[5] = scale(); },
     "[linear] weight_scale: expected [2] float32, got [1] float32"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.inputs[7] = scale(); },
     "[add_rms_norm_linear] y: expected [tokens, 64], got [tokens, 128]"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.outputs[0] = rows_of(128); },
     "[add_rms_norm_linear] sum: expected [tokens, 256], got [tokens, 128]"},
    {Op::kAddRmsNormLinear, [](CallSpec& c) { c.outputs[1].dtype = DType::kE4M3; },
     "[add_rms_norm_linear] y: expected float32 or bfloat16, got float8_e4m3"},
    {Op::kPermute, [](CallSpec& c) { c.outputs[0].dtype = DType::kF32; },
     "[permute] rows: expected int32, got float32"},
    {Op::kGroupedLinear, [](CallSpec& c) { c.inputs[3] = scale(8); },
     "[grouped_linear] weight_scale: expected [16] float32, got [8] float32"},
    {Op::kGroupedLinear, [](CallSpec& c) { c.inputs[4] = vector_of(8, DType::kI32); },
     "[grouped_linear] weight: expected [7, out, 256], got [8, 128, 256] float8_e4m3"},
    {Op::kGroupedLinearSwiglu, [](CallSpec& c) { c.inputs[5] = scale(); },
     "[grouped_linear_swiglu] output_scale: expected [8] float32, got [1] float32"},
    {Op::kGroupedLinearSwiglu,
     [](CallSpec& c) {
       c.inputs[2] = tensor({Dim::tokens_top_k(2), Dim::constant(1)}, DType::kF32);
     },
     "[grouped_linear_swiglu] weight: expected static scales of the input and of each segment, got "
     "[8, 128, 256] float8_e4m3"},
    {Op::kGroupedLinearSwiglu, [](CallSpec& c) { c.outputs[0] = copies_of(64); },
     "[grouped_linear_swiglu] y: expected float8_e4m3, got bfloat16"},
    {Op::kGroupedQuantize, [](CallSpec& c) { c.outputs[0].dtype = DType::kBF16; },
     "[grouped_quantize] y: expected float8_e4m3, got bfloat16"},
    {Op::kEmbedding, [](CallSpec& c) { c.inputs[0].dtype = DType::kI64; },
     "[embedding] ids: expected [tokens] int32, got [tokens] int64"},
    {Op::kEmbedding, [](CallSpec& c) { c.inputs[1].dtype = DType::kE4M3; },
     "[embedding] table: expected float32 or bfloat16, got [1000, 256] float8_e4m3"},
    {Op::kRmsNorm, [](CallSpec& c) { c.inputs[1] = vector_of(60); },
     "[rms_norm] weight: expected [width] with width dividing the columns, got [60] bfloat16"},
    {Op::kRmsNorm, [](CallSpec& c) { c.inputs[1] = vector_of(0); },
     "[rms_norm] weight: expected [width] with width dividing the columns, got [0] bfloat16"},
    {Op::kRmsNorm, [](CallSpec& c) { c.inputs[2] = scale(2); },
     "[rms_norm] output_scale: expected [1] float32, got [2] float32"},
    {Op::kRmsNorm, [](CallSpec& c) { c.inputs[2] = scale(); },
     "[rms_norm] y: expected float8_e4m3, got bfloat16"},
    {Op::kRmsNorm, [](CallSpec& c) { c.outputs[0].dtype = DType::kE4M3; },
     "[rms_norm] y: expected float32 or bfloat16, got float8_e4m3"},
    {Op::kAdd, [](CallSpec& c) { c.inputs[1] = rows_of(255); },
     "[add] b: expected [tokens, 256], got [tokens, 255] bfloat16"},
    {Op::kAdd, [](CallSpec& c) { c.outputs[0] = rows_of(255); },
     "[add] y: expected [tokens, 256], got [tokens, 255]"},
    {Op::kAdd, [](CallSpec& c) { c.outputs[0].dtype = DType::kI32; },
     "[add] y: expected float32 or bfloat16, got int32"},
    {Op::kAddRmsNorm, [](CallSpec& c) { c.inputs[1] = rows_of(128); },
     "[add_rms_norm] residual: expected [tokens, 256], got [tokens, 128] bfloat16"},
    {Op::kAllReduceAddRmsNorm, [](CallSpec& c) { c.params = ReduceNormParams{.ranks = 0}; },
     "[all_reduce_add_rms_norm] x: expected 1 to 1024 ranks, got [tokens, 256] bfloat16"},
    {Op::kAllReduceAddRmsNorm,
     [](CallSpec& c) { c.params = ReduceNormParams{.ranks = 4, .sharded = true}; },
     "[all_reduce_add_rms_norm] sum: expected [tokens of 4 ranks, 256], got [tokens, 256]"},
    {Op::kAllReduceAddRmsNorm, [](CallSpec& c) { c.inputs[1].shape[0].divisor = 4; },
     "[all_reduce_add_rms_norm] residual: expected [tokens, 256], got [tokens of 4 ranks, 256] "
     "bfloat16"},
    {Op::kQuantize, [](CallSpec& c) { c.outputs[0].dtype = DType::kBF16; },
     "[quantize] y: expected float8_e4m3, got bfloat16"},
    {Op::kQuantizeDynamic, [](CallSpec& c) { c.outputs[0] = rows_of(1, DType::kF32); },
     "[quantize_dynamic] scale: expected [tokens, 2], got [tokens, 1]"},
    {Op::kQuantizeDynamic,
     [](CallSpec& c) { c.params = QuantizeParams{.clamp_low = 1.0f, .clamp_high = 1.0f}; },
     "[quantize_dynamic] x: expected a clamp with its lower end first, got [tokens, 256] "
     "bfloat16"},
    {Op::kLinear,
     [](CallSpec& c) { c.params = LinearParams{.block_rows = 64, .block_columns = 128}; },
     "[linear] weight_scale: expected [2, 2] float32, got [2] float32"},
    {Op::kLinear, [](CallSpec& c) { c.params = LinearParams{.block_columns = 128}; },
     "[linear] weight: expected block_rows with block_columns, got [128, 256] float8_e4m3"},
    {Op::kLinear, [](CallSpec& c) { c.inputs[2] = rows_of(3, DType::kF32); },
     "[linear] input_scale: expected [tokens, 1] float32, got [tokens, 3] float32"},
    {Op::kLinear,
     [](CallSpec& c) {
       c.params = LinearParams{{100, 27}};
     },
     "[linear] weight: expected rows equal to the sum of its segments, got [128, 256] "
     "float8_e4m3"},
    {Op::kLinear,
     [](CallSpec& c) {
       c.params = LinearParams{{INT64_MAX, INT64_MAX}};
     },
     "[linear] weight: expected rows equal to the sum of its segments, got [128, 256] "
     "float8_e4m3"},
    {Op::kLinear, [](CallSpec& c) { c.inputs[0] = rows_of(255, DType::kE4M3); },
     "[linear] weight: expected 255 columns, got [128, 256] float8_e4m3"},
    {Op::kLinear, [](CallSpec& c) { c.inputs[2] = absent(); },
     "[linear] x: expected float8_e4m3 exactly where its scale is given, got [tokens, 256] "
     "float8_e4m3"},
    {Op::kLinear, [](CallSpec& c) { c.inputs[3] = scale(1); },
     "[linear] weight_scale: expected [2] float32, got [1] float32"},
    {Op::kLinear, [](CallSpec& c) { c.inputs[4] = vector_of(127); },
     "[linear] bias: expected [128], got [127] bfloat16"},
    {Op::kRope, [](CallSpec& c) { c.params = RopeParams{63}; },
     "[rope] x: expected columns that are a multiple of an even head_dim, got [tokens, 256] "
     "bfloat16"},
    {Op::kRope, [](CallSpec& c) { c.params = RopeParams{-2}; },
     "[rope] x: expected columns that are a multiple of an even head_dim, got [tokens, 256] "
     "bfloat16"},
    {Op::kRope, [](CallSpec& c) { c.inputs[2] = scale(64); },
     "[rope] inverse_frequency: expected [32] float32, got [64] float32"},
    {Op::kRope, [](CallSpec& c) { c.inputs[1] = indices(kSequences); },
     "[rope] positions: expected [tokens] int32, got [sequences] int32"},
    {Op::kKvAppend, [](CallSpec& c) { c.inputs[2].dtype = DType::kI32; },
     "[kv_append] slots: expected [tokens] int64, got [tokens] int32"},
    {Op::kKvAppend, [](CallSpec& c) { c.inputs[3] = absent(); },
     "[kv_append] k_scale: expected exactly where the cache is float8_e4m3"},
    {Op::kKvAppend, [](CallSpec& c) { c.outputs[1] = cache(DType::kE4M3, 3); },
     "[kv_append] v_cache: expected [blocks, kv_heads, tokens_per_block, head_dim] for rows "
     "[tokens, 128], got [cache_blocks, 3, 32, 64]"},
    {Op::kRopeKvAppend,
     [](CallSpec& c) {
       c.inputs[1] = c.inputs[2] = tensor({kSequences, Dim::constant(128)});
     },
     "[rope_kv_append] k: expected a row for every token, got [sequences, 128] bfloat16"},
    {Op::kRopeKvAppend, [](CallSpec& c) { c.inputs[2] = rows_of(64); },
     "[rope_kv_append] v: expected [tokens, 128], got [tokens, 64] bfloat16"},
    {Op::kAttention,
     [](CallSpec& c) {
       c.params = AttentionParams{.num_heads = 4, .num_kv_heads = 3, .head_dim = 64};
     },
     "[attention] q: expected columns of num_heads × head_dim, num_heads a multiple of "
     "num_kv_heads, got [tokens, 256] bfloat16"},
    {Op::kAttention, [](CallSpec& c) { c.params = AttentionParams{}; },
     "[attention] q: expected columns of num_heads × head_dim, num_heads a multiple of "
     "num_kv_heads, got [tokens, 256] bfloat16"},
    {Op::kAttention, [](CallSpec& c) { c.inputs[1] = cache(DType::kBF16, 4); },
     "[attention] k_cache: expected [blocks, 2, tokens_per_block, 64], got "
     "[cache_blocks, 4, 32, 64] bfloat16"},
    {Op::kAttention, [](CallSpec& c) { c.inputs[2].dtype = DType::kF32; },
     "[attention] v_cache: expected the type of k_cache, got [cache_blocks, 2, 32, 64] float32"},
    {Op::kAttention, [](CallSpec& c) { c.inputs[5] = indices(kTokens); },
     "[attention] kv_length: expected [sequences] int32, got [tokens] int32"},
    {Op::kAttention, [](CallSpec& c) { c.inputs[6] = indices(kSequences); },
     "[attention] block_table: expected [sequences, table_width] int32, got [sequences] int32"},
    {Op::kAttention, [](CallSpec& c) { c.inputs[7] = scale(); },
     "[attention] k_cache: expected float8_e4m3 exactly where its scale is given, got "
     "[cache_blocks, 2, 32, 64] bfloat16"},
    {Op::kRopeAttention, [](CallSpec& c) { c.inputs[3] = indices(kSequences); },
     "[rope_attention] positions: expected [tokens] int32, got [sequences] int32"},
    {Op::kRopeAttention, [](CallSpec& c) { c.inputs[4] = scale(64); },
     "[rope_attention] inverse_frequency: expected [32] float32, got [64] float32"},
    {Op::kRopeAttention,
     [](CallSpec& c) {
       c.params = AttentionParams{.num_heads = 8, .num_kv_heads = 2, .head_dim = 64};
     },
     "[rope_attention] q: expected columns of num_heads × head_dim, num_heads a multiple of "
     "num_kv_heads, got [tokens, 256] bfloat16"},
    {Op::kRopeAttention, [](CallSpec& c) { c.inputs[9] = indices(kSequences); },
     "[rope_attention] block_table: expected [sequences, table_width] int32, got [sequences] "
     "int32"},
    {Op::kRopeAttention, [](CallSpec& c) { c.inputs[11] = absent(); },
     "[rope_attention] v_scale: expected exactly where the cache is float8_e4m3"},
    {Op::kRopeAttention,
     [](CallSpec& c) {
       c.inputs[11] = absent();
       c.outputs[1] = cache();
     },
     "[rope_attention] v_cache: expected the type and shape of k_cache, [blocks, 2, "
     "tokens_per_block, 64], got float8_e4m3 [cache_blocks, 2, 32, 64] and bfloat16 "
     "[cache_blocks, 2, 32, 64]"},
    {Op::kRopeAttention,
     [](CallSpec& c) {
       c.params = AttentionParams{.num_heads = 4, .num_kv_heads = 4, .head_dim = 64};
     },
     "[rope_attention] v_cache: expected the type and shape of k_cache, [blocks, 4, "
     "tokens_per_block, 64], got float8_e4m3 [cache_blocks, 2, 32, 64] and float8_e4m3 "
     "[cache_blocks, 2, 32, 64]"},
    {Op::kRopeAttention, [](CallSpec& c) { c.inputs[12] = scale(); },
     "[rope_attention] y: expected float8_e4m3, got bfloat16"},
    {Op::kSwiglu, [](CallSpec& c) { c.inputs[1] = rows_of(128); },
     "[swiglu] up: expected [tokens, 256], got [tokens, 128] bfloat16"},
    {Op::kGatherRows, [](CallSpec& c) { c.inputs[1].dtype = DType::kI64; },
     "[gather_rows] rows: expected [logit_rows] int32, got [logit_rows] int64"},
};

TEST(OpTest, BadCallsAreRefusedByName) {
  for (const BadCall& bad : kBadCalls) {
    CallSpec call = good(bad.op);
    bad.spoil(call);
    EXPECT_EQ(message_of(call), bad.message);
  }
}

TEST(OpTest, CountsAreChecked) {
  CallSpec call = good(Op::kAdd);
  call.inputs.push_back(call.inputs[0]);
  EXPECT_EQ(message_of(call), "[add] expected 2 inputs and 1 outputs, got 3 and 1");
  call = good(Op::kAdd);
  call.outputs.clear();
  EXPECT_EQ(message_of(call), "[add] expected 2 inputs and 1 outputs, got 2 and 0");
}

}  // namespace
}  // namespace octavo

// Shape rules of every op.
// SPDX-License-Identifier: Apache-2.0
#include "ops/op.h"

#include <algorithm>
#include <array>

#include "core/checked.h"
#include "ops/moe_rules.h"

namespace octavo {
namespace {

using Specs = std::span<const OperandSpec>;

constexpr int64_t kMaxRanks = 1024;

// Reports which operand of which op does not fit.
class Rule {
 public:
  Rule(Op op, Specs inputs) : info_(op_info(op)), inputs_(inputs) {}

  const OperandSpec& at(size_t index) const { return inputs_[index]; }
  const SymbolicShape& shape(size_t index) const { return inputs_[index].shape; }

  [[noreturn]] void fail(size_t index, std::string_view expected) const {
    throw Error(
        ErrorCategory::kBadFile,
        fmt::format("[{}] {}: expected {}, got {} {}", info_.name, info_.inputs[index].name,
                    expected, to_string(inputs_[index].shape), to_string(inputs_[index].dtype)));
  }
  void expect(bool condition, size_t index, std::string_view expected) const {
    if (!condition) fail(index, expected);
  }
  void matrix(size_t index) const {
    expect(shape(index).size() == 2 && shape(index)[1].is_constant() && shape(index)[1].value > 0,
           index, "rank 2 with constant columns");
  }
  void floating(size_t index) const {
    const DType dtype = at(index).dtype;
    expect(dtype == DType::kF32 || dtype == DType::kBF16, index, "float32 or bfloat16");
  }
  void same_shape(size_t index, const SymbolicShape& expected) const {
    expect(shape(index) == expected, index, to_string(expected));
  }
  void index_vector(size_t index, const Dim& length, DType dtype = DType::kI32) const {
    expect(shape(index) == SymbolicShape{length} && at(index).dtype == dtype, index,
           fmt::format("{} {}", to_string({length}), to_string(dtype)));
  }
  // An optional [length] float32.
  void scales(size_t index, int64_t length) const {
    if (!at(index).present) return;
    expect(shape(index) == SymbolicShape{Dim::constant(length)} && at(index).dtype == DType::kF32,
           index, fmt::format("[{}] float32", length));
  }
  // E4M3 data and its scale come together.
  void scale_presence(size_t data, size_t scale) const {
    expect(at(scale).present == (at(data).dtype == DType::kE4M3), data,
           "float8_e4m3 exactly where its scale is given");
  }
  void scale_if_quantized(size_t data, size_t scale, int64_t length) const {
    scales(scale, length);
    scale_presence(data, scale);
  }
  // A [rows, columns] float32.
  void scale_matrix(size_t index, const Dim& rows, int64_t columns) const {
    expect(shape(index) == SymbolicShape{rows, Dim::constant(columns)} &&
               at(index).dtype == DType::kF32,
           index, fmt::format("{} float32", to_string({rows, Dim::constant(columns)})));
  }

 private:
  const OpInfo& info_;
  Specs inputs_;
};

template <typename T>
const T& params_of(Op op, const OpParams& params) {
  if (const T* typed = std::get_if<T>(&params)) return *typed;
  throw Error(ErrorCategory::kBadFile, fmt::format("[{}] params: wrong kind", to_string(op)));
}

std::vector<SymbolicShape> infer_embedding(Specs in, const OpParams& params) {
  const Rule rule(Op::kEmbedding, in);
  rule.expect(rule.shape(0).size() == 1 && rule.at(0).dtype == DType::kI32, 0, "[tokens] int32");
  rule.matrix(1);
  rule.floating(1);
  const auto* part = std::get_if<EmbeddingParams>(&params);
  rule.expect(part != nullptr || std::holds_alternative<std::monostate>(params), 1,
              "parameters of an embedding");
  rule.expect(part == nullptr || part->first_id >= 0, 1, "a first id of 0 or more");
  return {{rule.shape(0)[0], rule.shape(1)[1]}};
}

void check_norm(const Rule& rule, size_t weight, size_t scale) {
  rule.matrix(0);
  rule.floating(0);
  const SymbolicShape& w = rule.shape(weight);
  rule.expect(w.size() == 1 && w[0].is_constant() && w[0].value > 0 &&
                  rule.shape(0)[1].value % w[0].value == 0,
              weight, "[width] with width dividing the columns");
  rule.floating(weight);
  rule.scales(scale, 1);
}

std::vector<SymbolicShape> infer_rms_norm(Specs in, const OpParams& params) {
  const Rule rule(Op::kRmsNorm, in);
  params_of<RmsNormParams>(Op::kRmsNorm, params);
  check_norm(rule, 1, 2);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_add_rms_norm(Specs in, const OpParams& params) {
  const Rule rule(Op::kAddRmsNorm, in);
  params_of<RmsNormParams>(Op::kAddRmsNorm, params);
  rule.same_shape(1, rule.shape(0));
  rule.floating(1);
  check_norm(rule, 2, 3);
  return {rule.shape(0), rule.shape(0)};
}

std::vector<SymbolicShape> infer_add(Specs in, const OpParams&) {
  const Rule rule(Op::kAdd, in);
  rule.matrix(0);
  rule.floating(0);
  rule.same_shape(1, rule.shape(0));
  rule.floating(1);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_quantize(Specs in, const OpParams&) {
  const Rule rule(Op::kQuantize, in);
  rule.matrix(0);
  rule.floating(0);
  rule.scales(1, 1);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_quantize_dynamic(Specs in, const OpParams& params) {
  const Rule rule(Op::kQuantizeDynamic, in);
  const auto& p = params_of<QuantizeParams>(Op::kQuantizeDynamic, params);
  rule.matrix(0);
  rule.floating(0);
  rule.expect(p.clamp_low < p.clamp_high, 0, "a clamp with its lower end first");
  const int64_t groups = p.group == 0 ? 1 : ceil_div(rule.shape(0)[1].value, p.group);
  return {{rule.shape(0)[0], Dim::constant(groups)}, rule.shape(0)};
}

// One static scale, or one a row and part of K.
void check_input_scale(const Rule& rule, int64_t depth_blocks) {
  rule.scale_presence(0, 2);
  if (!rule.at(2).present || rule.shape(2).size() == 1) return rule.scales(2, 1);
  const bool one = rule.shape(2).size() == 2 && rule.shape(2)[1] == Dim::constant(1);
  rule.scale_matrix(2, rule.shape(0)[0], one ? 1 : depth_blocks);
}

void check_weight_scale(const Rule& rule, const LinearParams& params, int64_t depth_blocks) {
  rule.expect(rule.at(3).present == is_code(rule.at(1).dtype), 1,
              "codes exactly where their scale is given");
  if (params.block_rows == 0)
    return rule.scales(3, std::max<int64_t>(1, static_cast<int64_t>(params.segment_rows.size())));
  rule.expect(rule.at(3).present, 3, "present");
  const int64_t rows = rule.shape(1)[0].value * rows_in_row(rule.at(1).dtype);
  rule.scale_matrix(3, Dim::constant(ceil_div(rows, params.block_rows)), depth_blocks);
}

// Returns the weight's rows.
Dim check_linear(const Rule& rule, const LinearParams& linear) {
  const auto& segments = linear.segment_rows;
  rule.matrix(0);
  rule.matrix(1);
  SymbolicShape weight = rule.shape(1);
  rule.expect(weight[0].is_constant() && weight[0].value > 0, 1, "constant rows");
  weight[0].value *= rows_in_row(rule.at(1).dtype);
  rule.expect(weight[1] == rule.shape(0)[1], 1, fmt::format("{} columns", rule.shape(0)[1].value));
  int64_t rows = 0;
  for (const int64_t segment : segments) {
    rule.expect(segment > 0 && segment <= weight[0].value - rows, 1,
                "rows equal to the sum of its segments");
    rows += segment;
  }
  rule.expect(segments.empty() || rows == weight[0].value, 1,
              "rows equal to the sum of its segments");
  const int64_t depth_blocks = linear.depth_blocks(weight[1].value);
  rule.expect(linear.block_rows > 0 || linear.block_columns == 0, 1,
              "block_rows with block_columns");
  check_input_scale(rule, depth_blocks);
  check_weight_scale(rule, linear, depth_blocks);
  if (rule.at(0).dtype != DType::kE4M3) rule.floating(0);
  if (!is_code(rule.at(1).dtype)) rule.floating(1);
  if (rule.at(4).present) {
    rule.same_shape(4, {weight[0]});
    rule.floating(4);
  }
  return weight[0];
}

std::vector<SymbolicShape> infer_linear(Specs in, const OpParams& params) {
  const Rule rule(Op::kLinear, in);
  const Dim rows = check_linear(rule, params_of<LinearParams>(Op::kLinear, params));
  return {{rule.shape(0)[0], rows}};
}

std::vector<SymbolicShape> infer_linear_swiglu(Specs in, const OpParams& params) {
  const Rule rule(Op::kLinearSwiglu, in);
  const auto& linear = params_of<LinearParams>(Op::kLinearSwiglu, params);
  Dim rows = check_linear(rule, linear);
  const bool scalars = !rule.at(2).present || rule.shape(2).size() == 1;
  rule.expect(linear.block_rows == 0 && scalars && rows_in_row(rule.at(1).dtype) == 1, 1,
              "static scales of the input and of each segment");
  rule.expect(rows.value % 2 == 0, 1, "as many rows of gate as of up");
  rule.scales(5, 1);
  rows.value /= 2;
  return {{rule.shape(0)[0], rows}};
}

// The rules of its parts, between which there are codes.
std::vector<SymbolicShape> infer_add_rms_norm_linear(Specs in, const OpParams& params) {
  const auto& whole = params_of<NormLinearParams>(Op::kAddRmsNormLinear, params);
  const OperandSpec norm[] = {in[0], in[1], in[2], in[4]};
  const SymbolicShape sum = infer_add_rms_norm(norm, RmsNormParams{whole.epsilon})[0];
  const OperandSpec codes{sum, DType::kE4M3, true};
  const OperandSpec linear[] = {codes, in[3], in[4], in[5], in[6], in[7]};
  const LinearParams segments{whole.segment_rows};
  if (in[7].present) return {sum, infer_linear_swiglu(linear, segments)[0]};
  return {sum, infer_linear(Specs(linear).first(5), segments)[0]};
}

void check_rope(const Rule& rule, const RopeParams& params, size_t positions) {
  const int64_t head_dim = params.head_dim;
  rule.matrix(0);
  rule.floating(0);
  rule.expect(head_dim > 0 && head_dim % 2 == 0 && rule.shape(0)[1].value % head_dim == 0, 0,
              "columns that are a multiple of an even head_dim");
  rule.index_vector(positions, rule.shape(0)[0]);
  rule.scales(positions + 1, head_dim / 2);
  rule.expect(rule.at(positions + 1).present, positions + 1, "present");
}

std::vector<SymbolicShape> infer_rope(Specs in, const OpParams& params) {
  const Rule rule(Op::kRope, in);
  check_rope(rule, params_of<RopeParams>(Op::kRope, params), 1);
  return {rule.shape(0)};
}

// Keys and values have a row for every token; the caches are outputs and checked in check_call.
void check_kv_rows(const Rule& rule, size_t k, size_t v, const SymbolicShape& rows) {
  rule.matrix(k);
  rule.floating(k);
  rule.expect(rule.shape(k)[0] == rows[0], k, "a row for every token");
  rule.same_shape(v, rule.shape(k));
  rule.floating(v);
}

std::vector<SymbolicShape> infer_kv_append(Specs in, const OpParams&) {
  const Rule rule(Op::kKvAppend, in);
  check_kv_rows(rule, 0, 1, rule.shape(0));
  rule.index_vector(2, rule.shape(0)[0], DType::kI64);
  rule.scales(3, 1);
  rule.scales(4, 1);
  return {{}, {}};
}

std::vector<SymbolicShape> infer_rope_kv_append(Specs in, const OpParams& params) {
  const Rule rule(Op::kRopeKvAppend, in);
  check_rope(rule, params_of<RopeParams>(Op::kRopeKvAppend, params), 3);
  check_kv_rows(rule, 1, 2, rule.shape(0));
  rule.index_vector(5, rule.shape(0)[0], DType::kI64);
  rule.scales(6, 1);
  rule.scales(7, 1);
  return {rule.shape(0), {}, {}};
}

void check_heads(const Rule& rule, const AttentionParams& p) {
  const bool fit = p.head_dim > 0 && p.num_heads > 0 && p.num_kv_heads > 0 &&
                   p.num_heads % p.num_kv_heads == 0 && rule.shape(0)[1].value % p.head_dim == 0 &&
                   rule.shape(0)[1].value / p.head_dim == p.num_heads;
  rule.expect(fit, 0, "columns of num_heads × head_dim, num_heads a multiple of num_kv_heads");
}

// query_start, query_length, kv_length and block_table, from `first` on.
void check_sequences(const Rule& rule, size_t first) {
  const Dim sequences = rule.shape(first).empty() ? Dim{} : rule.shape(first)[0];
  for (size_t i = 0; i < 3; ++i) rule.index_vector(first + i, sequences);
  rule.expect(rule.shape(first + 3).size() == 2 && rule.shape(first + 3)[0] == sequences &&
                  rule.at(first + 3).dtype == DType::kI32,
              first + 3, "[sequences, table_width] int32");
}

void check_cache(const Rule& rule, size_t index, const AttentionParams& params) {
  const SymbolicShape& cache = rule.shape(index);
  const bool fits = cache.size() == 4 && cache[1] == Dim::constant(params.num_kv_heads) &&
                    cache[2].is_constant() && cache[2].value > 0 &&
                    cache[3] == Dim::constant(params.head_dim);
  rule.expect(
      fits, index,
      fmt::format("[blocks, {}, tokens_per_block, {}]", params.num_kv_heads, params.head_dim));
}

std::vector<SymbolicShape> infer_attention(Specs in, const OpParams& params) {
  const Rule rule(Op::kAttention, in);
  const auto& p = params_of<AttentionParams>(Op::kAttention, params);
  rule.matrix(0);
  rule.floating(0);
  check_heads(rule, p);
  check_cache(rule, 1, p);
  check_cache(rule, 2, p);
  rule.same_shape(2, rule.shape(1));
  rule.expect(rule.at(1).dtype == rule.at(2).dtype, 2, "the type of k_cache");
  check_sequences(rule, 3);
  rule.scale_if_quantized(1, 7, 1);
  rule.scale_if_quantized(2, 8, 1);
  rule.scales(9, 1);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_rope_attention(Specs in, const OpParams& params) {
  const Rule rule(Op::kRopeAttention, in);
  const auto& p = params_of<AttentionParams>(Op::kRopeAttention, params);
  check_rope(rule, RopeParams{p.head_dim}, 3);
  check_heads(rule, p);
  check_kv_rows(rule, 1, 2, rule.shape(0));
  rule.index_vector(5, rule.shape(0)[0], DType::kI64);
  check_sequences(rule, 6);
  for (const size_t scale : {10, 11, 12}) rule.scales(scale, 1);
  return {{}, {}, rule.shape(0)};
}

std::vector<SymbolicShape> infer_swiglu(Specs in, const OpParams&) {
  const Rule rule(Op::kSwiglu, in);
  rule.matrix(0);
  rule.floating(0);
  rule.same_shape(1, rule.shape(0));
  rule.floating(1);
  rule.scales(2, 1);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_gather_rows(Specs in, const OpParams&) {
  const Rule rule(Op::kGatherRows, in);
  rule.matrix(0);
  const DType dtype = rule.at(0).dtype;
  rule.expect(dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kE4M3, 0,
              "float32, bfloat16 or float8_e4m3");
  rule.expect(rule.shape(1).size() == 1 && rule.at(1).dtype == DType::kI32, 1,
              "[logit_rows] int32");
  return {{rule.shape(1)[0], rule.shape(0)[1]}};
}

// A matrix whose rows are some step's; what only moves may also be codes.
void check_moved(const Rule& rule, bool may_be_codes) {
  rule.matrix(0);
  if (!may_be_codes || rule.at(0).dtype != DType::kE4M3) rule.floating(0);
}

int64_t ranks_of(const Rule& rule, Op op, const OpParams& params) {
  const int64_t ranks = params_of<GroupParams>(op, params).ranks;
  rule.expect(ranks >= 1 && ranks <= kMaxRanks, 0, "1 to 1024 ranks");
  return ranks;
}

std::vector<SymbolicShape> infer_all_reduce(Specs in, const OpParams& params) {
  const Rule rule(Op::kAllReduce, in);
  check_moved(rule, /*may_be_codes=*/false);
  ranks_of(rule, Op::kAllReduce, params);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_reduce_scatter(Specs in, const OpParams& params) {
  const Rule rule(Op::kReduceScatter, in);
  check_moved(rule, /*may_be_codes=*/false);
  const int64_t ranks = ranks_of(rule, Op::kReduceScatter, params);
  Dim rows = rule.shape(0)[0], columns = rule.shape(0)[1];
  if (std::get<GroupParams>(params).by_rows) {
    rule.expect(!rows.is_constant() && rows.divisor == 1, 0, "symbolic rows that are not shared");
    rows.divisor = ranks;
  } else {
    rule.expect(columns.value % ranks == 0, 0, fmt::format("a multiple of {} columns", ranks));
    columns.value /= ranks;
  }
  return {{rows, columns}};
}

std::vector<SymbolicShape> infer_all_gather(Specs in, const OpParams& params) {
  const Rule rule(Op::kAllGather, in);
  check_moved(rule, /*may_be_codes=*/true);
  const int64_t ranks = ranks_of(rule, Op::kAllGather, params);
  Dim rows = rule.shape(0)[0], columns = rule.shape(0)[1];
  if (std::get<GroupParams>(params).by_rows) {
    rule.expect(!rows.is_constant() && rows.divisor == ranks, 0,
                fmt::format("symbolic rows that {} ranks share", ranks));
    rows.divisor = 1;
  } else {
    rule.expect(columns.value <= (int64_t{1} << 28) / ranks, 0, "fewer columns");
    columns.value *= ranks;
  }
  return {{rows, columns}};
}

std::vector<SymbolicShape> infer_send(Specs in, const OpParams&) {
  const Rule rule(Op::kSend, in);
  check_moved(rule, /*may_be_codes=*/true);
  return {};
}

// The rows are the step's; check_recv_output compares the columns.
std::vector<SymbolicShape> infer_recv(Specs, const OpParams& params) {
  params_of<RecvParams>(Op::kRecv, params);
  return {{}};
}

OpInfo add_norm_info(Op op, std::string_view name, decltype(OpInfo::infer) infer) {
  return {
      op, name, {{"x"}, {"residual"}, {"weight"}, {"output_scale", true}}, {{"sum"}, {"y"}}, infer};
}

OpInfo rope_attention_info() {
  return {Op::kRopeAttention,
          "rope_attention",
          {{"q"},
           {"k"},
           {"v"},
           {"positions"},
           {"inverse_frequency"},
           {"slots"},
           {"query_start"},
           {"query_length"},
           {"kv_length"},
           {"block_table"},
           {"k_scale", true},
           {"v_scale", true},
           {"output_scale", true}},
          {{"k_cache"}, {"v_cache"}, {"y"}},
          infer_rope_attention};
}

OpInfo linear_swiglu_info() {
  return {Op::kLinearSwiglu,
          "linear_swiglu",
          {{"x"},
           {"weight"},
           {"input_scale", true},
           {"weight_scale", true},
           {"bias", true},
           {"output_scale", true}},
          {{"y"}},
          infer_linear_swiglu};
}

OpInfo add_rms_norm_linear_info() {
  return {Op::kAddRmsNormLinear,
          "add_rms_norm_linear",
          {{"x"},
           {"residual"},
           {"norm_weight"},
           {"weight"},
           {"input_scale"},
           {"weight_scale"},
           {"bias", true},
           {"output_scale", true}},
          {{"sum"}, {"y"}},
          infer_add_rms_norm_linear};
}

std::vector<SymbolicShape> infer_reduce_norm(Specs in, const OpParams& params) {
  const Rule rule(Op::kAllReduceAddRmsNorm, in);
  const auto& reduce = params_of<ReduceNormParams>(Op::kAllReduceAddRmsNorm, params);
  rule.expect(reduce.ranks >= 1 && reduce.ranks <= kMaxRanks, 0, "1 to 1024 ranks");
  rule.floating(1);
  check_norm(rule, 2, 3);
  SymbolicShape sum = rule.shape(0);
  if (reduce.sharded) {
    rule.expect(!sum[0].is_constant() && sum[0].divisor == 1, 0, "symbolic rows, not shared yet");
    sum[0].divisor = reduce.ranks;
  }
  // The first of a chain of sharded calls reads its rows of a whole residual.
  if (rule.shape(1) != sum) rule.same_shape(1, rule.shape(0));
  return {sum, rule.shape(0)};
}

std::array<OpInfo, kOpCount> with_moe(std::array<OpInfo, kOpCount> infos) {
  for (const OpInfo& info : moe_ops()) infos[static_cast<size_t>(info.op)] = info;
  return infos;
}

const std::array<OpInfo, kOpCount>& table() {
  static const std::array<OpInfo, kOpCount> infos = with_moe({{
      {Op::kEmbedding, "embedding", {{"ids"}, {"table"}}, {{"y"}}, infer_embedding},
      {Op::kRmsNorm,
       "rms_norm",
       {{"x"}, {"weight"}, {"output_scale", true}},
       {{"y"}},
       infer_rms_norm},
      {Op::kAdd, "add", {{"a"}, {"b"}}, {{"y"}}, infer_add},
      add_norm_info(Op::kAddRmsNorm, "add_rms_norm", infer_add_rms_norm),
      {Op::kQuantize, "quantize", {{"x"}, {"scale"}}, {{"y"}}, infer_quantize},
      {Op::kQuantizeDynamic,
       "quantize_dynamic",
       {{"x"}},
       {{"scale"}, {"y"}},
       infer_quantize_dynamic},
      {Op::kLinear,
       "linear",
       {{"x"}, {"weight"}, {"input_scale", true}, {"weight_scale", true}, {"bias", true}},
       {{"y"}},
       infer_linear},
      {Op::kRope, "rope", {{"x"}, {"positions"}, {"inverse_frequency"}}, {{"y"}}, infer_rope},
      {Op::kKvAppend,
       "kv_append",
       {{"k"}, {"v"}, {"slots"}, {"k_scale", true}, {"v_scale", true}},
       {{"k_cache"}, {"v_cache"}},
       infer_kv_append},
      {Op::kRopeKvAppend,
       "rope_kv_append",
       {{"q"},
        {"k"},
        {"v"},
        {"positions"},
        {"inverse_frequency"},
        {"slots"},
        {"k_scale", true},
        {"v_scale", true}},
       {{"y"}, {"k_cache"}, {"v_cache"}},
       infer_rope_kv_append},
      {Op::kAttention,
       "attention",
       {{"q"},
        {"k_cache"},
        {"v_cache"},
        {"query_start"},
        {"query_length"},
        {"kv_length"},
        {"block_table"},
        {"k_scale", true},
        {"v_scale", true},
        {"output_scale", true}},
       {{"y"}},
       infer_attention},
      rope_attention_info(),
      {Op::kSwiglu, "swiglu", {{"gate"}, {"up"}, {"output_scale", true}}, {{"y"}}, infer_swiglu},
      linear_swiglu_info(),
      add_rms_norm_linear_info(),
      {Op::kGatherRows, "gather_rows", {{"x"}, {"rows"}}, {{"y"}}, infer_gather_rows},
      {Op::kAllReduce, "all_reduce", {{"x"}}, {{"y"}}, infer_all_reduce},
      {Op::kReduceScatter, "reduce_scatter", {{"x"}}, {{"y"}}, infer_reduce_scatter},
      {Op::kAllGather, "all_gather", {{"x"}}, {{"y"}}, infer_all_gather},
      {Op::kSend, "send", {{"x"}}, {}, infer_send},
      {Op::kRecv, "recv", {}, {{"y"}}, infer_recv},
      add_norm_info(Op::kAllReduceAddRmsNorm, "all_reduce_add_rms_norm", infer_reduce_norm),
  }});
  return infos;
}

}  // namespace

const OpInfo& op_info(Op op) { return table()[static_cast<size_t>(op)]; }

std::string_view to_string(Op op) { return op_info(op).name; }

std::optional<Op> op_from_string(std::string_view name) {
  for (const OpInfo& info : table()) {
    if (info.name == name) return info.op;
  }
  return std::nullopt;
}

}  // namespace octavo

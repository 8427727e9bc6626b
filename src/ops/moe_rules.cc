// Shape rules of routing, grouped linears and their neighbours.
// SPDX-License-Identifier: Apache-2.0
#include "ops/moe_rules.h"

#include "core/checked.h"

namespace octavo {
namespace {

class Rule {
 public:
  Rule(Op op, OperandSpecs inputs) : info_(op_info(op)), inputs_(inputs) {}

  const OperandSpec& at(size_t index) const { return inputs_[index]; }
  const SymbolicShape& shape(size_t index) const { return inputs_[index].shape; }

  void expect(bool condition, size_t index, std::string_view expected) const {
    if (condition) return;
    throw Error(
        ErrorCategory::kBadFile,
        fmt::format("[{}] {}: expected {}, got {} {}", info_.name, info_.inputs[index].name,
                    expected, to_string(inputs_[index].shape), to_string(inputs_[index].dtype)));
  }
  void tensor(size_t index, const SymbolicShape& expected, DType dtype) const {
    expect(shape(index) == expected && at(index).dtype == dtype, index,
           fmt::format("{} {}", to_string(expected), to_string(dtype)));
  }
  void vector(size_t index, const Dim& length, DType dtype) const {
    tensor(index, {length}, dtype);
  }
  void matrix(size_t index) const {
    expect(shape(index).size() == 2 && shape(index)[1].is_constant() && shape(index)[1].value > 0,
           index, "rank 2 with constant columns");
  }
  void float_matrix(size_t index) const {
    matrix(index);
    expect(is_activation(index), index, "float32 or bfloat16");
  }
  bool is_activation(size_t index) const {
    return at(index).dtype == DType::kF32 || at(index).dtype == DType::kBF16;
  }
  // Experts that the offsets delimit.
  int64_t experts(size_t index) const {
    const SymbolicShape& offsets = shape(index);
    expect(at(index).dtype == DType::kI32 && offsets.size() == 1 && offsets[0].is_constant() &&
               offsets[0].value >= 2 && offsets[0].value <= kMaxExperts + 1,
           index, "[experts + 1] int32");
    return offsets[0].value - 1;
  }

 private:
  const OpInfo& info_;
  OperandSpecs inputs_;
};

template <typename T>
const T& params_of(Op op, const OpParams& params) {
  if (const T* typed = std::get_if<T>(&params)) return *typed;
  throw Error(ErrorCategory::kBadFile, fmt::format("[{}] params: wrong kind", to_string(op)));
}

// Rows of `top_k` copies of each of these tokens; a zero of symbol constant where there are none.
std::optional<Dim> copies(const Dim& tokens, int64_t top_k) {
  if (tokens.is_constant()) return Dim::constant(tokens.value * top_k);
  if (tokens == Dim::of(Symbol::kTokens)) return Dim::tokens_top_k(top_k);
  return std::nullopt;
}

// Rows of `x` and the [tokens, top_k] matrix at `choices` belong together.
bool fits(const Dim& rows, const SymbolicShape& choices) {
  return choices.size() == 2 && choices[1].is_constant() && choices[1].value > 0 &&
         choices[1].value <= kMaxExperts && copies(choices[0], choices[1].value) == rows;
}

// Of a grouped linear: one static scale an expert, or one a row and part of K.
void check_input_scale(const Rule& rule, const Dim& experts, int64_t depth_blocks) {
  const bool codes = rule.at(0).dtype == DType::kE4M3;
  rule.expect(codes || rule.is_activation(0), 0, "float32, bfloat16 or float8_e4m3");
  rule.expect(rule.at(2).present == codes, 0, "float8_e4m3 exactly where its scale is given");
  if (!codes) return;
  if (rule.shape(2).size() == 1) return rule.vector(2, experts, DType::kF32);
  const bool one = rule.shape(2).size() == 2 && rule.shape(2)[1] == Dim::constant(1);
  rule.tensor(2, {rule.shape(0)[0], Dim::constant(one ? 1 : depth_blocks)}, DType::kF32);
}

void check_weight_scale(const Rule& rule, const LinearParams& params, const SymbolicShape& weight) {
  const bool codes = is_code(rule.at(1).dtype);
  rule.expect(codes || rule.is_activation(1), 1, "float32, bfloat16 or codes");
  rule.expect(rule.at(3).present == codes, 1, "codes exactly where their scale is given");
  rule.expect(codes || params.block_rows == 0, 1, "codes");
  rule.expect(params.block_rows > 0 || params.block_columns == 0, 1,
              "block_rows with block_columns");
  if (!codes) return;
  const int64_t segments = std::max<int64_t>(1, std::ssize(params.segment_rows));
  if (params.block_rows == 0)
    return rule.tensor(3, {Dim::constant(weight[0].value * segments)}, DType::kF32);
  rule.tensor(3,
              {weight[0], Dim::constant(ceil_div(weight[1].value, params.block_rows)),
               Dim::constant(params.depth_blocks(weight[2].value))},
              DType::kF32);
}

// Returns the rows of an expert's weight.
Dim check_grouped_linear(const Rule& rule, const LinearParams& linear) {
  rule.matrix(0);
  SymbolicShape weight = rule.shape(1);
  const Dim experts = Dim::constant(rule.experts(4));
  const bool stacked = weight.size() == 3 && weight[0] == experts && weight[1].is_constant() &&
                       weight[1].value > 0 && weight[2] == rule.shape(0)[1];
  rule.expect(stacked, 1, fmt::format("[{}, out, {}]", experts.value, rule.shape(0)[1].value));
  weight[1].value *= rows_in_row(rule.at(1).dtype);
  int64_t rows = 0;
  for (const int64_t segment : linear.segment_rows) {
    rule.expect(segment > 0 && segment <= weight[1].value - rows, 1,
                "rows equal to the sum of its segments");
    rows += segment;
  }
  rule.expect(linear.segment_rows.empty() || rows == weight[1].value, 1,
              "rows equal to the sum of its segments");
  check_input_scale(rule, experts, linear.depth_blocks(weight[2].value));
  check_weight_scale(rule, linear, weight);
  return weight[1];
}

}  // namespace

std::vector<SymbolicShape> infer_route(OperandSpecs in, const OpParams& params) {
  const Rule rule(Op::kRoute, in);
  const int64_t top_k = params_of<RouteParams>(Op::kRoute, params).top_k;
  rule.float_matrix(0);
  const int64_t experts = rule.shape(0)[1].value;
  rule.expect(experts <= kMaxExperts && top_k >= 1 && top_k <= experts, 0,
              fmt::format("{} to {} experts", top_k, kMaxExperts));
  if (rule.at(1).present) rule.vector(1, rule.shape(0)[0], DType::kI64);
  const SymbolicShape choices = {rule.shape(0)[0], Dim::constant(top_k)};
  return {choices, choices};
}

std::vector<SymbolicShape> infer_permute(OperandSpecs in, const OpParams& params) {
  const Rule rule(Op::kPermute, in);
  const int64_t experts = params_of<PermuteParams>(Op::kPermute, params).num_experts;
  rule.float_matrix(0);
  rule.matrix(1);
  const SymbolicShape& choices = rule.shape(1);
  const bool same_tokens = choices[0] == rule.shape(0)[0] && choices[1].value <= experts;
  rule.expect(same_tokens && rule.at(1).dtype == DType::kI32 && experts <= kMaxExperts, 1,
              "[tokens, top_k] int32");
  const std::optional<Dim> rows = copies(choices[0], choices[1].value);
  rule.expect(rows.has_value(), 0, "[tokens, hidden]");
  return {choices, {Dim::constant(experts + 1)}, {*rows, rule.shape(0)[1]}};
}

std::vector<SymbolicShape> infer_grouped_linear(OperandSpecs in, const OpParams& params) {
  const Rule rule(Op::kGroupedLinear, in);
  const Dim rows = check_grouped_linear(rule, params_of<LinearParams>(Op::kGroupedLinear, params));
  return {{rule.shape(0)[0], rows}};
}

std::vector<SymbolicShape> infer_grouped_linear_swiglu(OperandSpecs in, const OpParams& params) {
  const Rule rule(Op::kGroupedLinearSwiglu, in);
  const auto& linear = params_of<LinearParams>(Op::kGroupedLinearSwiglu, params);
  Dim rows = check_grouped_linear(rule, linear);
  const bool scalars = !rule.at(2).present || rule.shape(2).size() == 1;
  rule.expect(linear.block_rows == 0 && scalars && rows_in_row(rule.at(1).dtype) == 1, 1,
              "static scales of the input and of each segment");
  rule.expect(rows.value % 2 == 0, 1, "as many rows of gate as of up");
  rule.vector(5, Dim::constant(rule.experts(4)), DType::kF32);
  rows.value /= 2;
  return {{rule.shape(0)[0], rows}};
}

std::vector<SymbolicShape> infer_grouped_quantize(OperandSpecs in, const OpParams&) {
  const Rule rule(Op::kGroupedQuantize, in);
  rule.float_matrix(0);
  rule.vector(1, Dim::constant(rule.experts(2)), DType::kF32);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_grouped_swiglu(OperandSpecs in, const OpParams&) {
  const Rule rule(Op::kGroupedSwiglu, in);
  rule.float_matrix(0);
  rule.float_matrix(1);
  rule.expect(rule.shape(1) == rule.shape(0), 1, to_string(rule.shape(0)));
  rule.vector(2, Dim::constant(rule.experts(3)), DType::kF32);
  return {rule.shape(0)};
}

std::vector<SymbolicShape> infer_combine(OperandSpecs in, const OpParams&) {
  const Rule rule(Op::kCombine, in);
  rule.float_matrix(0);
  rule.expect(rule.at(1).dtype == DType::kI32 && fits(rule.shape(0)[0], rule.shape(1)), 1,
              "[tokens, top_k] int32, top_k a token of x's rows");
  rule.expect(rule.shape(2) == rule.shape(1) && rule.at(2).dtype == DType::kF32, 2,
              to_string(rule.shape(1)) + " float32");
  return {{rule.shape(1)[0], rule.shape(0)[1]}};
}

std::vector<OpInfo> moe_ops() {
  return {
      {Op::kRoute,
       "route",
       {{"logits"}, {"slots", true}},
       {{"experts"}, {"weights"}},
       infer_route,
       /*index_outputs=*/1},
      {Op::kPermute,
       "permute",
       {{"x"}, {"experts"}},
       {{"rows"}, {"offsets"}, {"y"}},
       infer_permute,
       /*index_outputs=*/2},
      {Op::kGroupedLinear,
       "grouped_linear",
       {{"x"}, {"weight"}, {"input_scale", true}, {"weight_scale", true}, {"offsets"}},
       {{"y"}},
       infer_grouped_linear},
      {Op::kGroupedQuantize,
       "grouped_quantize",
       {{"x"}, {"scale"}, {"offsets"}},
       {{"y"}},
       infer_grouped_quantize},
      {Op::kGroupedSwiglu,
       "grouped_swiglu",
       {{"gate"}, {"up"}, {"output_scale"}, {"offsets"}},
       {{"y"}},
       infer_grouped_swiglu},
      {Op::kGroupedLinearSwiglu,
       "grouped_linear_swiglu",
       {{"x"},
        {"weight"},
        {"input_scale", true},
        {"weight_scale", true},
        {"offsets"},
        {"output_scale"}},
       {{"y"}},
       infer_grouped_linear_swiglu},
      {Op::kCombine, "combine", {{"x"}, {"rows"}, {"weights"}}, {{"y"}}, infer_combine},
  };
}

}  // namespace octavo

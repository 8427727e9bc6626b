// Shape rules of routing, grouped linears and their neighbours.
// SPDX-License-Identifier: Apache-2.0
#include "ops/moe_rules.h"

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
  void vector(size_t index, const Dim& length, DType dtype) const {
    expect(shape(index) == SymbolicShape{length} && at(index).dtype == dtype, index,
           fmt::format("{} {}", to_string(SymbolicShape{length}), to_string(dtype)));
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
  const auto& segments = params_of<LinearParams>(Op::kGroupedLinear, params).segment_rows;
  rule.matrix(0);
  const SymbolicShape& weight = rule.shape(1);
  const Dim experts = Dim::constant(rule.experts(4));
  const bool stacked = weight.size() == 3 && weight[0] == experts && weight[1].is_constant() &&
                       weight[1].value > 0 && weight[2] == rule.shape(0)[1];
  rule.expect(stacked, 1, fmt::format("[{}, out, {}]", experts.value, rule.shape(0)[1].value));
  int64_t rows = 0;
  for (const int64_t segment : segments) {
    rule.expect(segment > 0 && segment <= weight[1].value - rows, 1,
                "rows equal to the sum of its segments");
    rows += segment;
  }
  rule.expect(segments.empty() || rows == weight[1].value, 1,
              "rows equal to the sum of its segments");
  const int64_t scales = experts.value * std::max<int64_t>(1, std::ssize(segments));
  for (const auto& [data, scale, length] :
       {std::tuple{0, 2, experts.value}, std::tuple{1, 3, scales}}) {
    const bool codes = rule.at(data).dtype == DType::kE4M3;
    rule.expect(codes || rule.is_activation(data), data, "float32, bfloat16 or float8_e4m3");
    rule.expect(rule.at(scale).present == codes, data,
                "float8_e4m3 exactly where its scale is given");
    if (codes) rule.vector(scale, Dim::constant(length), DType::kF32);
  }
  return {{rule.shape(0)[0], weight[1]}};
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
      {Op::kCombine, "combine", {{"x"}, {"rows"}, {"weights"}}, {{"y"}}, infer_combine},
  };
}

}  // namespace octavo

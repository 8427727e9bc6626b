// Programs and Plans as JSON: the part of an engine file that says what to run.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <nlohmann/json.hpp>

#include "io/json_object.h"
#include "ops/moe_rules.h"
#include "program/engine_image.h"

namespace octavo {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kSymbols = {
    "constant", "tokens", "sequences", "logit_rows", "tokens_top_k", "cache_blocks", "table_width"};
constexpr std::array<std::string_view, 4> kKinds = {"input", "weight", "cache", "activation"};
constexpr IntRange kTensorIds{-1, 1 << 24};

template <size_t N>
size_t index_of(const std::array<std::string_view, N>& names, const JsonField& field) {
  const std::string& name = field.as_string();
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return i;
  }
  throw field.mismatch("a known name");
}

json dim_json(const Dim& dim) {
  if (dim.is_constant()) return dim.value;
  const std::string_view name = kSymbols[static_cast<size_t>(dim.symbol)];
  if (dim.symbol == Symbol::kTokensTopK) return json::array({name, dim.multiple, dim.value});
  if (dim.divisor != 1) return json::array({name, dim.multiple, dim.divisor});
  return dim.multiple == 1 ? json(name) : json::array({name, dim.multiple});
}

Dim dim_from(const JsonField& field) {
  if (field.is_int()) return Dim::constant(field.as_int({0, int64_t{1} << 28}));
  if (field.is_string()) return Dim::of(static_cast<Symbol>(index_of(kSymbols, field)));
  const std::vector<JsonField> parts = field.as_array();
  if (parts.size() != 2 && parts.size() != 3)
    throw field.mismatch(
        "a size, a symbol, [symbol, multiple], or [symbol, multiple, factor or divisor]");
  Dim dim = Dim::of(static_cast<Symbol>(index_of(kSymbols, parts[0])), parts[1].as_int({1, 4096}));
  if (parts.size() == 3 && dim.symbol == Symbol::kTokensTopK)
    dim.value = parts[2].as_int({1, kMaxExperts});
  if (parts.size() == 3 && dim.symbol != Symbol::kTokensTopK)
    dim.divisor = parts[2].as_int({1, 1024});
  return dim;
}

json params_json(const OpParams& params) {
  if (const auto* norm = std::get_if<RmsNormParams>(&params)) return {{"epsilon", norm->epsilon}};
  if (const auto* linear = std::get_if<LinearParams>(&params)) {
    json result = {{"segment_rows", linear->segment_rows}};
    if (linear->block_rows > 0) result["block_rows"] = linear->block_rows;
    if (linear->block_columns > 0) result["block_columns"] = linear->block_columns;
    return result;
  }
  if (const auto* norm = std::get_if<NormLinearParams>(&params))
    return {{"epsilon", norm->epsilon}, {"segment_rows", norm->segment_rows}};
  if (const auto* quantize = std::get_if<QuantizeParams>(&params))
    return {{"group", quantize->group},
            {"clamp_low", quantize->clamp_low},
            {"clamp_high", quantize->clamp_high}};
  if (const auto* rope = std::get_if<RopeParams>(&params))
    return {{"rope_head_dim", rope->head_dim}};
  if (const auto* attention = std::get_if<AttentionParams>(&params)) {
    return {{"num_heads", attention->num_heads},
            {"num_kv_heads", attention->num_kv_heads},
            {"head_dim", attention->head_dim},
            {"softmax_scale", attention->softmax_scale},
            {"window", attention->window}};
  }
  if (const auto* route = std::get_if<RouteParams>(&params))
    return {{"top_k", route->top_k}, {"normalize", route->normalize}};
  if (const auto* permute = std::get_if<PermuteParams>(&params))
    return {{"num_experts", permute->num_experts}};
  if (const auto* part = std::get_if<EmbeddingParams>(&params))
    return {{"first_id", part->first_id}};
  if (const auto* group = std::get_if<GroupParams>(&params))
    return {{"ranks", group->ranks}, {"by_rows", group->by_rows}};
  if (const auto* norm = std::get_if<ReduceNormParams>(&params))
    return {{"ranks", norm->ranks},
            {"epsilon", norm->epsilon},
            {"sharded", norm->sharded},
            {"user_buffer", norm->user_buffer}};
  if (const auto* recv = std::get_if<RecvParams>(&params)) return {{"columns", recv->columns}};
  return json::object();
}

OpParams params_from(Op op, const JsonObject& object) {
  constexpr IntRange kSize{1, int64_t{1} << 28};
  switch (op) {
    case Op::kRmsNorm:
    case Op::kAddRmsNorm:
      return RmsNormParams{static_cast<float>(object.required_float("epsilon", {0.0, 1.0}))};
    case Op::kLinear:
    case Op::kLinearSwiglu:
    case Op::kGroupedLinear:
    case Op::kGroupedLinearSwiglu:
      return LinearParams{
          .segment_rows = object.required("segment_rows").as_ints(kSize),
          .block_rows = object.optional_int("block_rows", {0, kSize.max}).value_or(0),
          .block_columns = object.optional_int("block_columns", {0, kSize.max}).value_or(0)};
    case Op::kAddRmsNormLinear:
      return NormLinearParams{
          .epsilon = static_cast<float>(object.required_float("epsilon", {0.0, 1.0})),
          .segment_rows = object.required("segment_rows").as_ints(kSize)};
    case Op::kQuantizeDynamic:
      return QuantizeParams{.group = object.required_int("group", {0, kSize.max}),
                            .clamp_low = static_cast<float>(object.required_float("clamp_low")),
                            .clamp_high = static_cast<float>(object.required_float("clamp_high"))};
    case Op::kRope:
    case Op::kRopeKvAppend:
      return RopeParams{object.required_int("rope_head_dim", {2, 4096})};
    case Op::kAttention:
    case Op::kRopeAttention:
      return AttentionParams{
          .num_heads = object.required_int("num_heads", {1, 4096}),
          .num_kv_heads = object.required_int("num_kv_heads", {1, 4096}),
          .head_dim = object.required_int("head_dim", {1, 4096}),
          .softmax_scale = static_cast<float>(object.required_float("softmax_scale", {0.0, 1e6})),
          .window = object.required_int("window", {0, int64_t{1} << 30})};
    case Op::kRoute:
      return RouteParams{.top_k = object.required_int("top_k", {1, kMaxExperts}),
                         .normalize = object.required_bool("normalize")};
    case Op::kPermute:
      return PermuteParams{object.required_int("num_experts", {1, kMaxExperts})};
    case Op::kEmbedding: {
      const std::optional<int64_t> first = object.optional_int("first_id", {0, int64_t{1} << 28});
      return first ? OpParams(EmbeddingParams{*first}) : OpParams();
    }
    case Op::kAllReduce:
    case Op::kReduceScatter:
    case Op::kAllGather:
      return GroupParams{.ranks = object.required_int("ranks", {1, 1024}),
                         .by_rows = object.required_bool("by_rows")};
    case Op::kAllReduceAddRmsNorm:
      return ReduceNormParams{
          .ranks = object.required_int("ranks", {1, 1024}),
          .epsilon = static_cast<float>(object.required_float("epsilon", {0.0, 1.0})),
          .sharded = object.optional_bool("sharded").value_or(false),
          .user_buffer = object.optional_bool("user_buffer").value_or(false)};
    case Op::kRecv:
      return RecvParams{object.required_int("columns", kSize)};
    default:
      return {};
  }
}

json tensor_json(const ProgramTensor& tensor) {
  json dims = json::array();
  for (const Dim& dim : tensor.shape) dims.push_back(dim_json(dim));
  json object = {{"name", tensor.name},
                 {"kind", kKinds[static_cast<size_t>(tensor.kind)]},
                 {"dtype", to_string(tensor.dtype)},
                 {"shape", dims}};
  if (tensor.base != kNoTensor) object.update({{"base", tensor.base}, {"column", tensor.column}});
  return object;
}

ProgramTensor tensor_from(const JsonObject& object) {
  ProgramTensor tensor;
  tensor.name = object.required_string("name");
  tensor.kind = static_cast<TensorKind>(index_of(kKinds, object.required("kind")));
  const std::optional<DType> dtype = dtype_from_string(object.required_string("dtype"));
  if (!dtype) throw object.required("dtype").mismatch("an element type");
  tensor.dtype = *dtype;
  for (const JsonField& dim : object.required_array("shape")) tensor.shape.push_back(dim_from(dim));
  tensor.base = static_cast<TensorId>(object.optional_int("base", kTensorIds).value_or(kNoTensor));
  tensor.column = object.optional_int("column", {0, int64_t{1} << 28}).value_or(0);
  return tensor;
}

json call_json(const Call& call) {
  return {{"op", to_string(call.op)}, {"params", params_json(call.params)},
          {"inputs", call.inputs},    {"outputs", call.outputs},
          {"layer", call.layer},      {"role", to_string(call.role)},
          {"module", call.module}};
}

std::vector<TensorId> ids_from(const JsonField& field) {
  std::vector<TensorId> ids;
  for (const int64_t id : field.as_ints(kTensorIds)) ids.push_back(static_cast<TensorId>(id));
  return ids;
}

Call call_from(const JsonObject& object) {
  Call call;
  const std::optional<Op> op = op_from_string(object.required_string("op"));
  if (!op) throw object.required("op").mismatch("a known op");
  const std::optional<Role> role = role_from_string(object.required_string("role"));
  if (!role) throw object.required("role").mismatch("a known role");
  call.op = *op;
  call.role = *role;
  call.params = params_from(*op, object.required_object("params"));
  call.inputs = ids_from(object.required("inputs"));
  call.outputs = ids_from(object.required("outputs"));
  call.layer = static_cast<int>(object.required_int("layer", {-1, 4096}));
  call.module = object.required_string("module");
  return call;
}

json program_json(const Program& program) {
  json tensors = json::array(), calls = json::array();
  for (const ProgramTensor& tensor : program.tensors) tensors.push_back(tensor_json(tensor));
  for (const Call& call : program.calls) calls.push_back(call_json(call));
  return {{"tensors", tensors}, {"calls", calls}, {"outputs", program.outputs}};
}

Program program_from(const JsonObject& object) {
  Program program;
  for (const JsonField& tensor : object.required_array("tensors"))
    program.add(tensor_from(JsonObject(tensor)));
  for (const JsonField& call : object.required_array("calls"))
    program.calls.push_back(call_from(JsonObject(call)));
  program.outputs = ids_from(object.required("outputs"));
  validate(program);
  return program;
}

}  // namespace

json to_json(const Plan& plan) {
  return {{"kind", plan.kind == PlanKind::kDecode ? "decode" : "mixed"},
          {"max_tokens", plan.max_tokens},
          {"kernels", plan.kernels},
          {"tactics", plan.tactics},
          {"kernel_us", plan.kernel_us},
          {"floor_us", plan.floor_us},
          {"program", program_json(plan.program)}};
}

Plan plan_from_json(const json& value, const std::string& file) {
  const JsonObject object(value, file, "plan");
  constexpr std::array<std::string_view, 2> kPlanKinds = {"decode", "mixed"};
  Plan plan;
  plan.kind = static_cast<PlanKind>(index_of(kPlanKinds, object.required("kind")));
  plan.max_tokens = object.required_int("max_tokens", {1, 1 << 24});
  plan.kernels = object.required("kernels").as_strings();
  plan.tactics = object.required("tactics").as_strings();
  const auto times = [&](const char* name) {
    std::vector<double> values;
    for (const JsonField& us : object.required_array(name))
      values.push_back(us.as_float({0.0, 1e9}));
    if (values.size() != plan.kernels.size())
      throw object.required(name).mismatch("one time a kernel");
    return values;
  };
  plan.kernel_us = times("kernel_us");
  plan.floor_us = times("floor_us");
  plan.program = program_from(object.required_object("program"));
  if (plan.kernels.size() != plan.program.calls.size()) {
    throw object.required("kernels").mismatch("one kernel a call");
  }
  if (plan.tactics.size() != plan.kernels.size())
    throw object.required("tactics").mismatch("one tactic a kernel");
  return plan;
}

}  // namespace octavo

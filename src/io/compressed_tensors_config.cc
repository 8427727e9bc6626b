// compressed-tensors' description of a quantized checkpoint, read and written.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "io/quantization_dialects.h"

namespace octavo {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> kFormats = {
    "float-quantized", "naive-quantized", "int-quantized", "pack-quantized", "mixed-precision"};

[[noreturn]] void refuse(const JsonObject& object, std::string_view key,
                         std::string_view expected) {
  throw unsupported(object.file(), object.path_of(key), "expected " + std::string(expected));
}

bool is_float(const JsonObject& args) {
  return args.optional_string("type").value_or("float") == "float";
}

QuantScheme read_weights(const JsonObject& args) {
  const int64_t bits = args.optional_int("num_bits", {1, 64}).value_or(8);
  const bool real = is_float(args);
  QuantScheme scheme;
  if (real && bits == 8) scheme.element = DType::kE4M3;
  if (!real && bits == 8) scheme.element = DType::kI8;
  if (!real && bits == 4) scheme.element = DType::kI4x2;
  if (!scheme.quantized()) refuse(args, "num_bits", "8-bit float, or 8-bit or 4-bit integers");
  if (args.optional_bool("dynamic").value_or(false)) refuse(args, "dynamic", "static weights");
  if (!args.optional_bool("symmetric").value_or(true)) refuse(args, "symmetric", "true");
  if (args.has("actorder") && args.required("actorder").json() != false)
    refuse(args, "actorder", "none");
  const std::string strategy = args.optional_string("strategy").value_or("tensor");
  if (strategy == "tensor" && real) return scheme;
  scheme.block_rows = 1;
  if (strategy == "channel") return scheme;
  if (strategy == "group") {
    scheme.block_columns = args.required_int("group_size", {1, 1 << 20});
    return scheme;
  }
  if (strategy != "block") refuse(args, "strategy", "tensor, channel, group or block");
  const std::vector<int64_t> block = args.required("block_structure").as_ints({1, 1 << 20});
  if (block.size() != 2) throw args.required("block_structure").mismatch("rows and columns");
  scheme.block_rows = block[0];
  scheme.block_columns = block[1];
  return scheme;
}

QuantScheme read_inputs(const JsonObject& args) {
  if (args.optional_int("num_bits").value_or(8) != 8 || !is_float(args))
    refuse(args, "num_bits", "8-bit float inputs, or none");
  const std::string strategy = args.optional_string("strategy").value_or("tensor");
  if (!args.optional_bool("dynamic").value_or(false)) {
    if (strategy != "tensor") refuse(args, "strategy", "tensor where inputs are static");
    return kFp8PerTensor;
  }
  // One scale a tensor, made at run time, becomes one a token: finer, and free of the batch.
  QuantScheme scheme = kFp8PerChannelPerToken.inputs;
  if (strategy == "group" || strategy == "block")
    scheme.block_columns = args.optional_int("group_size", {1, 1 << 20}).value_or(128);
  return scheme;
}

LinearScheme read_group(const JsonObject& group) {
  LinearScheme scheme;
  if (const auto weights = group.optional_object("weights"))
    scheme.weights = read_weights(*weights);
  if (const auto inputs = group.optional_object("input_activations"))
    scheme.inputs = read_inputs(*inputs);
  if (group.has("output_activations") && group.required("output_activations").is_object())
    refuse(group, "output_activations", "none");
  const bool integers = scheme.weights.quantized() && scheme.weights.element != DType::kE4M3;
  if (scheme.inputs.quantized() && (integers || !scheme.weights.quantized()))
    refuse(group, "input_activations", "none beside weights that are not 8-bit float");
  if (scheme.inputs.block_columns != 0 &&
      scheme.inputs.block_columns != scheme.weights.block_columns)
    refuse(group, "input_activations", "groups as wide as the weights' blocks");
  return scheme;
}

json args_json(int64_t bits, const QuantScheme& scheme, std::string_view strategy) {
  const auto size = [](int64_t value) { return value == 0 ? json() : json(value); };
  const bool group = strategy == "group";
  return {{"num_bits", bits},
          {"type", scheme.element == DType::kE4M3 ? "float" : "int"},
          {"strategy", strategy},
          {"symmetric", true},
          {"dynamic", scheme.dynamic},
          {"group_size", group ? size(scheme.block_columns) : json()},
          {"block_structure",
           strategy == "block" ? json::array({scheme.block_rows, scheme.block_columns}) : json()},
          {"actorder", nullptr},
          {"observer", scheme.dynamic ? json() : json("minmax")},
          {"observer_kwargs", json::object()}};
}

std::string_view strategy_of(const QuantScheme& scheme) {
  if (scheme.block_rows == 0) return "tensor";
  if (scheme.block_rows > 1) return "block";
  if (scheme.block_columns > 0) return "group";
  return scheme.dynamic ? "token" : "channel";
}

std::string_view format_of(const QuantScheme& weights) {
  if (weights.element == DType::kI4x2) return "pack-quantized";
  return weights.element == DType::kI8 ? "int-quantized" : "float-quantized";
}

// One group for each scheme, with the names of its modules.
json mixed_groups(const std::vector<ModuleScheme>& modules) {
  std::vector<LinearScheme> schemes;
  json groups = json::object();
  for (const auto& [module, scheme] : modules) {
    const auto it = std::find(schemes.begin(), schemes.end(), scheme);
    const std::string name = fmt::format("group_{}", it - schemes.begin());
    if (it == schemes.end()) {
      schemes.push_back(scheme);
      groups[name] = config_group_json(scheme);
      groups[name]["targets"] = json::array();
      groups[name]["format"] = format_of(scheme.weights);
    }
    groups[name]["targets"].push_back(module);
  }
  return groups;
}

}  // namespace

json config_group_json(const LinearScheme& scheme) {
  const int64_t bits = scheme.weights.element == DType::kI4x2 ? 4 : 8;
  return {{"targets", json::array({"Linear"})},
          {"weights", args_json(bits, scheme.weights, strategy_of(scheme.weights))},
          {"input_activations", scheme.inputs.quantized()
                                    ? args_json(8, scheme.inputs, strategy_of(scheme.inputs))
                                    : json()},
          {"output_activations", nullptr}};
}

void read_config_groups(const JsonObject& block, CheckpointQuantization& to) {
  const JsonObject groups = block.required_object("config_groups");
  for (const std::string& name : groups.keys()) {
    const JsonObject group = groups.required_object(name);
    const LinearScheme scheme = read_group(group);
    for (const std::string& target : group.required("targets").as_strings()) {
      if (target != "Linear") {
        to.modules.push_back({target, scheme});
      } else if (!to.weights.quantized()) {
        to.weights = scheme.weights;
        to.inputs = scheme.inputs;
      }
    }
  }
}

std::optional<QuantScheme> read_kv_cache_scheme(const JsonObject& block) {
  const auto field = block.optional("kv_cache_scheme");
  if (!field) return std::nullopt;
  if (field->is_string()) {
    if (field->as_string() != "static") throw field->not_supported("static");
    return kFp8PerTensor;
  }
  const JsonObject scheme = field->as_object();
  const bool fp8 = scheme.optional_int("num_bits").value_or(8) == 8 && is_float(scheme) &&
                   !scheme.optional_bool("dynamic").value_or(false) &&
                   scheme.optional_string("strategy").value_or("tensor") == "tensor";
  if (!fp8) refuse(block, "kv_cache_scheme", "static 8-bit float, one scale a tensor");
  return kFp8PerTensor;
}

CheckpointQuantization read_compressed_tensors(const JsonObject& block) {
  CheckpointQuantization result;
  result.method = "compressed-tensors";
  if (const auto format = block.optional("format")) {
    if (std::find(kFormats.begin(), kFormats.end(), format->as_string()) == kFormats.end())
      throw format->not_supported(
          "float-quantized, naive-quantized, int-quantized, pack-quantized");
  }
  if (block.has("config_groups")) read_config_groups(block, result);
  if (const auto ignore = block.optional("ignore")) result.exclude_modules = ignore->as_strings();
  result.kv_cache = read_kv_cache_scheme(block);
  return result;
}

json compressed_tensors_json(const CheckpointQuantization& quantization) {
  json block = {{"quant_method", "compressed-tensors"},
                {"format", format_of(quantization.weights)},
                {"quantization_status", "compressed"},
                {"global_compression_ratio", nullptr},
                {"ignore", quantization.exclude_modules},
                {"config_groups", json::object()},
                {"kv_cache_scheme", nullptr}};
  if (quantization.weights.quantized()) {
    json& group = block["config_groups"]["group_0"];
    group = config_group_json({quantization.weights, quantization.inputs});
    // Without it the library infers a packing of its own for 8-bit integers.
    group["format"] = format_of(quantization.weights);
  }
  if (!quantization.modules.empty()) {
    block["format"] = "mixed-precision";
    block["config_groups"] = mixed_groups(quantization.modules);
  }
  if (quantization.kv_cache)
    block["kv_cache_scheme"] = args_json(8, *quantization.kv_cache, "tensor");
  return block;
}

}  // namespace octavo

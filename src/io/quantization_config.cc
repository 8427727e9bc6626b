// Detection of the dialect, and the spellings that are written.
// SPDX-License-Identifier: Apache-2.0
#include "io/quantization_config.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "io/quantization_dialects.h"

namespace octavo {
namespace {

constexpr std::string_view kMethods =
    "modelopt, compressed-tensors, fp8 (fine-grained FP8 and AutoFP8)";
constexpr const char* kProducer = "octavo";
constexpr const char* kProducerVersion = "0.1.0";

CheckpointQuantization read_hf_quant_config(const nlohmann::json& json, const std::string& file) {
  const JsonObject object(json, file);
  if (const auto nested = object.optional_object("quantization")) return read_modelopt(*nested);
  return read_modelopt(object);
}

CheckpointQuantization read_config_block(const JsonObject& block) {
  const JsonField method = block.required("quant_method", "a quantization method");
  if (method.as_string().starts_with("modelopt")) return read_modelopt(block);
  if (method.as_string() == "compressed-tensors") return read_compressed_tensors(block);
  if (method.as_string() == "fp8") return read_fp8_method(block);
  throw method.not_supported(kMethods);
}

bool same(CheckpointQuantization a, const CheckpointQuantization& b) {
  a.method = b.method;
  return a == b;
}

// What names a scheme in ModelOpt's two spellings; null stands for "not quantized".
nlohmann::json algo_json(const CheckpointQuantization& quantization) {
  nlohmann::json json = {{"quant_algo", nullptr}};
  const LinearScheme linears{quantization.weights, quantization.inputs};
  if (!quantization.modules.empty()) {
    json["quant_algo"] = "MIXED_PRECISION";
    for (const auto& [pattern, scheme] : quantization.modules) {
      nlohmann::json& layer = json["quantized_layers"][pattern];
      layer["quant_algo"] = quant_algo_name(scheme);
      if (scheme.weights.element == DType::kI4x2)
        layer["group_size"] = scheme.weights.block_columns;
    }
  } else if (linears.quantized()) {
    json["quant_algo"] = quant_algo_name(linears);
    OCTAVO_CHECK(!quant_algo_name(linears).empty());
    if (linears.weights.element == DType::kI4x2) {
      json["group_size"] = linears.weights.block_columns;
      json["has_zero_point"] = false;
    }
  }
  if (quantization.clamp)
    json["clamp_val"] = {quantization.clamp->first, quantization.clamp->second};
  return json;
}

}  // namespace

LinearScheme CheckpointQuantization::scheme_of(std::string_view module) const {
  if (is_excluded(exclude_modules, module)) return {};
  for (const ModuleScheme& own : modules) {
    if (module_matches(own.pattern, module)) return own.scheme;
  }
  return {.weights = weights, .inputs = inputs};
}

CheckpointQuantization read_quantization_config(const nlohmann::json* hf_quant_config,
                                                const nlohmann::json& config,
                                                const std::string& directory) {
  const JsonObject root(config, directory + "/config.json");
  std::optional<CheckpointQuantization> block;
  if (const auto object = root.optional_object("quantization_config"))
    block = read_config_block(*object);
  if (hf_quant_config == nullptr) return block.value_or(CheckpointQuantization{});
  CheckpointQuantization file =
      read_hf_quant_config(*hf_quant_config, directory + "/hf_quant_config.json");
  if (block && !same(file, *block)) {
    log_warning(
        "{}: hf_quant_config.json and config.json's quantization_config differ; "
        "hf_quant_config.json is used",
        printable(directory));
  }
  return file;
}

std::string quantization_name(const CheckpointQuantization& quantization) {
  if (!quantization.modules.empty()) return "mixed_precision";
  if (!quantization.weights.quantized()) return "none";
  std::string name(quant_algo_name({quantization.weights, quantization.inputs}));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name.empty() ? "other" : name;
}

nlohmann::json hf_quant_config_json(const CheckpointQuantization& quantization) {
  nlohmann::json json = algo_json(quantization);
  json["kv_cache_quant_algo"] = quantization.kv_cache ? nlohmann::json("FP8") : nlohmann::json();
  json["exclude_modules"] = quantization.exclude_modules;
  return {{"producer", {{"name", kProducer}, {"version", kProducerVersion}}},
          {"quantization", json}};
}

nlohmann::json quantization_config_json(const CheckpointQuantization& quantization) {
  nlohmann::json json = algo_json(quantization);
  json["quant_method"] = "modelopt";
  json["ignore"] = quantization.exclude_modules;
  json["producer"] = {{"name", kProducer}, {"version", kProducerVersion}};
  const nlohmann::json eight_bit_float = {{"num_bits", 8}, {"type", "float"}, {"dynamic", false}};
  const LinearScheme linears{quantization.weights, quantization.inputs};
  if (linears == kFp8Linear) {
    json["config_groups"]["group_0"] = {{"targets", nlohmann::json::array({"Linear"})},
                                        {"weights", eight_bit_float},
                                        {"input_activations", eight_bit_float}};
  } else if (linears.quantized()) {
    json["config_groups"]["group_0"] = config_group_json(linears);
  }
  if (quantization.kv_cache) json["kv_cache_scheme"] = eight_bit_float;
  return json;
}

}  // namespace octavo

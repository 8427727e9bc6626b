// ModelOpt's description of a quantized checkpoint.
// SPDX-License-Identifier: Apache-2.0
#include "io/quantization_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr std::string_view kSupported = "modelopt with quant_algo FP8 (static, per tensor)";

QuantScheme scheme_of_algo(const JsonField& algo) {
  if (algo.as_string() == "FP8") return kFp8PerTensor;
  throw algo.not_supported("FP8");
}

// null stands for "not quantized".
nlohmann::json algo_json(const std::optional<QuantScheme>& scheme) {
  if (!scheme || !scheme->quantized()) return nullptr;
  OCTAVO_CHECK(*scheme == kFp8PerTensor);
  return "FP8";
}

std::vector<std::string> read_excludes(const JsonObject& object) {
  for (const char* key : {"exclude_modules", "ignore"}) {
    if (const auto field = object.optional(key)) return field->as_strings();
  }
  return {};
}

// {"producer", "quantization": {"quant_algo", "kv_cache_quant_algo", "exclude_modules"}}, or the
// flat form below.
CheckpointQuantization read_modelopt(const JsonObject& object) {
  CheckpointQuantization result;
  result.method = "modelopt";
  if (const auto algo = object.optional("quant_algo")) result.weights = scheme_of_algo(*algo);
  result.exclude_modules = read_excludes(object);
  if (const auto algo = object.optional("kv_cache_quant_algo"))
    result.kv_cache = scheme_of_algo(*algo);
  if (const auto scheme = object.optional_object("kv_cache_scheme")) {
    const bool fp8 = scheme->optional_int("num_bits").value_or(8) == 8 &&
                     scheme->optional_string("type").value_or("float") == "float" &&
                     !scheme->optional_bool("dynamic").value_or(false);
    if (!fp8)
      throw unsupported(object.file(), object.path_of("kv_cache_scheme"),
                        "expected static 8-bit float");
    result.kv_cache = kFp8PerTensor;
  }
  return result;
}

CheckpointQuantization read_hf_quant_config(const nlohmann::json& json, const std::string& file) {
  const JsonObject object(json, file);
  if (const auto nested = object.optional_object("quantization")) return read_modelopt(*nested);
  return read_modelopt(object);
}

CheckpointQuantization read_config_block(const JsonObject& block) {
  const JsonField method = block.required("quant_method", "a quantization method");
  if (method.as_string().rfind("modelopt", 0) != 0) throw method.not_supported(kSupported);
  return read_modelopt(block);
}

bool same(const CheckpointQuantization& a, const CheckpointQuantization& b) {
  return a.weights == b.weights && a.kv_cache == b.kv_cache &&
         a.exclude_modules == b.exclude_modules;
}

constexpr const char* kProducer = "octavo";
constexpr const char* kProducerVersion = "0.1.0";

}  // namespace

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

nlohmann::json hf_quant_config_json(const CheckpointQuantization& quantization) {
  return {{"producer", {{"name", kProducer}, {"version", kProducerVersion}}},
          {"quantization",
           {{"quant_algo", algo_json(quantization.weights)},
            {"kv_cache_quant_algo", algo_json(quantization.kv_cache)},
            {"exclude_modules", quantization.exclude_modules}}}};
}

nlohmann::json quantization_config_json(const CheckpointQuantization& quantization) {
  const nlohmann::json eight_bit_float = {{"num_bits", 8}, {"type", "float"}, {"dynamic", false}};
  nlohmann::json json = {{"quant_method", "modelopt"},
                         {"quant_algo", algo_json(quantization.weights)},
                         {"ignore", quantization.exclude_modules},
                         {"producer", {{"name", kProducer}, {"version", kProducerVersion}}}};
  if (quantization.weights.quantized()) {
    json["config_groups"]["group_0"] = {{"targets", nlohmann::json::array({"Linear"})},
                                        {"weights", eight_bit_float},
                                        {"input_activations", eight_bit_float}};
  }
  if (quantization.kv_cache) json["kv_cache_scheme"] = eight_bit_float;
  return json;
}

bool module_matches(std::string_view pattern, std::string_view module) {
  if (pattern.find_first_of("*?") == std::string_view::npos) {
    return module == pattern || (module.size() > pattern.size() && module.starts_with(pattern) &&
                                 module[pattern.size()] == '.');
  }
  // Greedy matching with one remembered star: linear in practice, quadratic at worst.
  size_t p = 0, m = 0, star = std::string_view::npos, resume = 0;
  while (m < module.size()) {
    if (p < pattern.size() &&
        (pattern[p] == '?' || (pattern[p] == module[m] && pattern[p] != '*'))) {
      ++p, ++m;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = m;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      m = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_excluded(const std::vector<std::string>& patterns, std::string_view module) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return module_matches(pattern, module); });
}

}  // namespace octavo

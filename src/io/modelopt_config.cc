// ModelOpt's description of a quantized checkpoint.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <nlohmann/json.hpp>

#include "io/quantization_dialects.h"

namespace octavo {
namespace {

struct Algo {
  std::string_view name;
  LinearScheme scheme;
};

// QuantAlgo's names; where two share a scheme the first is written.
constexpr std::array kAlgos = {
    Algo{"FP8", kFp8Linear},
    Algo{"FP8_PER_CHANNEL_PER_TOKEN", kFp8PerChannelPerToken},
    Algo{"FP8_BLOCK_SCALES", kFp8Block},
    Algo{"FP8_PB_WO", kFp8Block},
    Algo{"W8A16", kInt8WeightOnly},
    Algo{"W4A16_AWQ", kInt4WeightOnly},
};
constexpr std::string_view kMixed = "MIXED_PRECISION";
constexpr std::string_view kNone = "NO_QUANT";

std::string supported_names() {
  std::string names;
  for (const Algo& algo : kAlgos) names += std::string(algo.name) + ", ";
  return names + std::string(kMixed) + ", " + std::string(kNone);
}

// `object` holds the "group_size" that some algorithms have.
LinearScheme scheme_of_algo(const JsonField& field, const JsonObject& object) {
  for (const Algo& algo : kAlgos) {
    if (field.as_string() != algo.name) continue;
    LinearScheme scheme = algo.scheme;
    const auto group_size = object.optional_int("group_size", {0, 1 << 20});
    if (scheme.weights.element == DType::kI4x2 && group_size)
      scheme.weights.block_columns = *group_size;
    if (object.optional_bool("has_zero_point").value_or(false))
      throw unsupported(object.file(), object.path_of("has_zero_point"), "expected false");
    return scheme;
  }
  throw field.not_supported(supported_names());
}

std::vector<std::string> read_excludes(const JsonObject& object) {
  for (const char* key : {"exclude_modules", "ignore"}) {
    if (const auto field = object.optional(key)) return field->as_strings();
  }
  return {};
}

// "quantized_layers": module name or pattern → {"quant_algo", …}
void read_layers(const JsonObject& layers, CheckpointQuantization& to) {
  for (const std::string& name : layers.keys()) {
    const JsonObject layer = layers.required_object(name);
    to.modules.push_back({name, scheme_of_algo(layer.required("quant_algo"), layer)});
  }
}

std::optional<std::pair<float, float>> read_clamp(const JsonObject& object) {
  const auto ends = object.optional_array("clamp_val");
  if (!ends) return std::nullopt;
  const JsonField field = object.required("clamp_val");
  if (ends->size() != 2) throw field.mismatch("a lower and an upper end");
  const std::pair<float, float> clamp(static_cast<float>(ends->at(0).as_float()),
                                      static_cast<float>(ends->at(1).as_float()));
  if (!(clamp.first < clamp.second)) throw field.mismatch("a lower end below the upper one");
  return clamp;
}

void read_algo(const JsonObject& object, CheckpointQuantization& to) {
  const auto algo = object.optional("quant_algo");
  if (!algo) return object.has("config_groups") ? read_config_groups(object, to) : void();
  if (algo->is_string() && algo->as_string() == kNone) return;
  if (algo->is_string() && algo->as_string() == kMixed)
    return read_layers(object.required_object("quantized_layers"), to);
  const LinearScheme scheme = scheme_of_algo(*algo, object);
  to.weights = scheme.weights;
  to.inputs = scheme.inputs;
}

}  // namespace

std::string_view quant_algo_name(const LinearScheme& scheme) {
  LinearScheme named = scheme;
  // The size of a group stands beside the name.
  if (named.weights.element == DType::kI4x2) named.weights.block_columns = 128;
  for (const Algo& algo : kAlgos) {
    if (algo.scheme == named) return algo.name;
  }
  return "";
}

CheckpointQuantization read_modelopt(const JsonObject& object) {
  CheckpointQuantization result;
  result.method = "modelopt";
  read_algo(object, result);
  result.exclude_modules = read_excludes(object);
  result.clamp = read_clamp(object);
  if (const auto algo = object.optional("kv_cache_quant_algo")) {
    if (algo->as_string() != "FP8") throw algo->not_supported("FP8");
    result.kv_cache = kFp8PerTensor;
  }
  if (const auto scheme = read_kv_cache_scheme(object)) result.kv_cache = scheme;
  return result;
}

}  // namespace octavo

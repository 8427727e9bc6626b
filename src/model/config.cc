// Reading and checking of config.json and generation_config.json.
// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "core/log.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr IntRange kSize{1, int64_t{1} << 24};

RopeConfig read_rope_fields(const JsonObject& object, double theta) {
  RopeConfig rope{.theta = object.optional_float("rope_theta", kPositiveFloat).value_or(theta)};
  // "type" is the old spelling.
  const auto type = object.optional_string("rope_type");
  rope.type = type ? *type : object.optional_string("type").value_or("default");
  if (rope.type == "default") return rope;
  if (rope.type != "llama3" && rope.type != "linear") {
    throw unsupported(
        object.file(), object.path_of("rope_type"),
        fmt::format("expected default, linear or llama3, got \"{}\"", printable(rope.type)));
  }
  rope.factor = object.required_float("factor", {1.0, 1e6});
  if (rope.type == "linear") return rope;
  rope.low_freq_factor = object.required_float("low_freq_factor", {1e-6, 1e6});
  rope.high_freq_factor = object.required_float("high_freq_factor", {1e-6, 1e6});
  rope.original_max_position =
      object.required_int("original_max_position_embeddings", {1, 1 << 30});
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    throw bad_file(object.file(), object.path_of("high_freq_factor"),
                   "expected more than low_freq_factor");
  }
  return rope;
}

RopeConfig read_rope(const JsonObject& object) {
  if (const auto parameters = object.optional_object("rope_parameters")) {
    for (const std::string& key : parameters->keys()) {
      if (parameters->json()[key].is_object()) {
        throw unsupported(object.file(), parameters->path_of(key),
                          "expected one set of RoPE parameters for all layers");
      }
    }
    return read_rope_fields(*parameters, 10000.0);
  }
  const double theta = object.optional_float("rope_theta", kPositiveFloat).value_or(10000.0);
  if (const auto scaling = object.optional_object("rope_scaling"))
    return read_rope_fields(*scaling, theta);
  return {.theta = theta};
}

DType read_dtype(const JsonObject& object) {
  const char* key = object.has("dtype") ? "dtype" : "torch_dtype";
  const std::string name = object.optional_string(key).value_or("bfloat16");
  const std::optional<DType> dtype = dtype_from_string(name);
  if (!dtype || (*dtype != DType::kF32 && *dtype != DType::kBF16 && *dtype != DType::kF16)) {
    throw unsupported(
        object.file(), key,
        fmt::format("expected float32, bfloat16 or float16, got \"{}\"", printable(name)));
  }
  return *dtype;
}

std::vector<int32_t> read_token_ids(const JsonObject& object, std::string_view key,
                                    int64_t vocab_size) {
  const auto field = object.optional(key);
  if (!field) return {};
  const IntRange range{0, vocab_size - 1};
  std::vector<int32_t> ids;
  if (field->is_array()) {
    for (const int64_t id : field->as_ints(range)) ids.push_back(static_cast<int32_t>(id));
  } else {
    ids.push_back(static_cast<int32_t>(field->as_int(range)));
  }
  return ids;
}

void read_heads(const JsonObject& object, ModelConfig& config) {
  config.num_heads = object.required_int("num_attention_heads", {1, 4096});
  config.num_kv_heads =
      object.optional_int("num_key_value_heads", {1, 4096}).value_or(config.num_heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    throw bad_file(object.file(), "num_key_value_heads",
                   fmt::format("expected a divisor of num_attention_heads {}, got {}",
                               config.num_heads, config.num_kv_heads));
  }
  if (const auto head_dim = object.optional_int("head_dim", {2, 1024})) {
    config.head_dim = *head_dim;
  } else if (config.hidden_size % config.num_heads == 0) {
    config.head_dim = config.hidden_size / config.num_heads;
  } else {
    throw bad_file(
        object.file(), "hidden_size",
        fmt::format(
            "expected a multiple of num_attention_heads {} where head_dim is absent, got {}",
            config.num_heads, config.hidden_size));
  }
  if (config.head_dim % 2 != 0) {
    throw bad_file(object.file(), "head_dim",
                   fmt::format("expected an even number, got {}", config.head_dim));
  }
}

// Keys that change the arithmetic and are not implemented must never be ignored.
void refuse_unsupported_math(const JsonObject& object,
                             std::initializer_list<std::string_view> read_by_model) {
  const std::string activation = object.optional_string("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish") {
    throw unsupported(object.file(), "hidden_act",
                      fmt::format("expected \"silu\", got \"{}\"", printable(activation)));
  }
  for (const char* key :
       {"sliding_window", "attn_logit_softcapping", "final_logit_softcapping", "num_local_experts",
        "num_experts", "logit_scale", "embedding_multiplier", "residual_multiplier"}) {
    const bool read = std::ranges::find(read_by_model, key) != read_by_model.end();
    if (!read && object.optional(key))
      throw unsupported(object.file(), key, "expected absent or null for this architecture");
  }
  if (object.optional_float("partial_rotary_factor").value_or(1.0) != 1.0) {
    throw unsupported(object.file(), "partial_rotary_factor", "expected 1");
  }
  if (object.optional_int("pretraining_tp").value_or(1) != 1) {
    throw unsupported(object.file(), "pretraining_tp", "expected 1");
  }
  if (object.optional("auto_map")) {
    log_warning("{}: auto_map is ignored: code from a model folder is never run",
                printable(object.file()));
  }
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const double base =
        1.0 / std::pow(rope.theta, static_cast<double>(i) / static_cast<double>(head_dim));
    double frequency = base;
    if (rope.type == "linear") frequency = base / rope.factor;
    if (rope.type == "llama3") {
      const double turns =
          static_cast<double>(rope.original_max_position) * base / (2.0 * std::numbers::pi);
      const double smooth = std::clamp(
          (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0,
          1.0);
      frequency = (1.0 - smooth) * base / rope.factor + smooth * base;
    }
    frequencies.push_back(static_cast<float>(frequency));
  }
  return frequencies;
}

ModelConfig read_common_config(const nlohmann::json& json, const std::string& file,
                               std::initializer_list<std::string_view> read_by_model) {
  const JsonObject object(json, file);
  ModelConfig config;
  config.architecture = object.required("architectures").as_strings().at(0);
  config.model_type = object.optional_string("model_type").value_or("");
  config.vocab_size = object.required_int("vocab_size", kSize);
  config.hidden_size = object.required_int("hidden_size", kSize);
  config.intermediate_size = object.required_int("intermediate_size", kSize);
  config.num_layers = object.required_int("num_hidden_layers", {1, 4096});
  read_heads(object, config);
  config.max_position = object.optional_int("max_position_embeddings", {1, 1 << 30}).value_or(2048);
  config.rms_norm_eps =
      static_cast<float>(object.optional_float("rms_norm_eps", {1e-30, 1.0}).value_or(1e-6));
  config.rope = read_rope(object);
  config.tie_word_embeddings = object.optional_bool("tie_word_embeddings").value_or(false);
  config.attention_bias = object.optional_bool("attention_bias").value_or(false);
  config.mlp_bias = object.optional_bool("mlp_bias").value_or(false);
  config.dtype = read_dtype(object);
  const std::vector<int32_t> bos = read_token_ids(object, "bos_token_id", config.vocab_size);
  config.bos_token_id = bos.empty() ? -1 : bos.front();
  config.eos_token_ids = read_token_ids(object, "eos_token_id", config.vocab_size);
  refuse_unsupported_math(object, read_by_model);
  return config;
}

void refuse_biases(const ModelConfig& config, const std::string& file) {
  if (config.attention_bias) throw unsupported(file, "attention_bias", "expected false");
  if (config.mlp_bias) throw unsupported(file, "mlp_bias", "expected false");
}

void read_optional_window(ModelConfig& config, const nlohmann::json& json,
                          const std::string& file) {
  const JsonObject object(json, file);
  if (object.optional_bool("use_sliding_window").value_or(false)) {
    config.sliding_window = object.required_int("sliding_window", kPositiveInt32);
    config.first_windowed_layer = object.required_int("max_window_layers", {0, 4096});
  }
  check_layer_types(config, json, file);
}

void check_layer_types(const ModelConfig& config, const nlohmann::json& json,
                       const std::string& file) {
  const auto types = JsonObject(json, file).optional("layer_types");
  if (!types) return;
  const std::vector<std::string> names = types->as_strings();
  if (std::ssize(names) != config.num_layers)
    throw types->mismatch(fmt::format("one type for each of {} layers", config.num_layers));
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const char* expected = config.window_of(layer) > 0 ? "sliding_attention" : "full_attention";
    const std::string& name = names[static_cast<size_t>(layer)];
    if (name != expected) {
      throw unsupported(file, fmt::format("layer_types[{}]", layer),
                        fmt::format("expected \"{}\", as the sliding window's keys say, got \"{}\"",
                                    expected, printable(name)));
    }
  }
}

void merge_generation_config(ModelConfig& config, const nlohmann::json& json,
                             const std::string& file) {
  const JsonObject object(json, file);
  for (const int32_t id : read_token_ids(object, "eos_token_id", config.vocab_size)) {
    if (std::find(config.eos_token_ids.begin(), config.eos_token_ids.end(), id) ==
        config.eos_token_ids.end()) {
      config.eos_token_ids.push_back(id);
    }
  }
  object.optional_float("temperature", {0.0, 100.0});
  object.optional_float("top_p", {0.0, 1.0});
  object.optional_int("top_k", kNonNegativeInt32);
}

}  // namespace octavo

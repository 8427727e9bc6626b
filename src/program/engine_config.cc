// EngineConfig as JSON.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/json_object.h"
#include "program/engine_image.h"

namespace octavo {

int64_t EngineConfig::kv_heads_per_rank() const {
  return std::max<int64_t>(1, num_kv_heads / tp_size);
}

int64_t EngineConfig::kv_bytes_per_token() const {
  const int64_t element = kv_cache_dtype == "fp8" ? 1 : kv_cache_dtype == "float32" ? 4 : 2;
  return 2 * num_layers * kv_heads_per_rank() * tp_size * head_dim * element;
}

nlohmann::json to_json(const EngineConfig& config) {
  return {{"model_type", config.model_type},
          {"device", config.device},
          {"dtype", config.dtype},
          {"quantization", config.quantization},
          {"kv_cache_dtype", config.kv_cache_dtype},
          {"vocab_size", config.vocab_size},
          {"num_layers", config.num_layers},
          {"num_kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"max_batch_size", config.max_batch_size},
          {"max_num_tokens", config.max_num_tokens},
          {"max_seq_len", config.max_seq_len},
          {"max_input_len", config.max_input_len},
          {"tokens_per_block", config.tokens_per_block},
          {"tp_size", config.tp_size},
          {"pp_size", config.pp_size},
          {"bos_token_id", config.bos_token_id},
          {"eos_token_ids", config.eos_token_ids}};
}

EngineConfig engine_config_from_json(const nlohmann::json& json, const std::string& file) {
  const JsonObject object(json, file);
  constexpr IntRange kSize{1, int64_t{1} << 28};
  EngineConfig config;
  config.model_type = object.required_string("model_type");
  config.device = object.required_string("device");
  config.dtype = object.required_string("dtype");
  config.quantization = object.required_string("quantization");
  config.kv_cache_dtype = object.required_string("kv_cache_dtype");
  config.vocab_size = object.required_int("vocab_size", kSize);
  config.num_layers = object.required_int("num_layers", {1, 4096});
  config.num_kv_heads = object.required_int("num_kv_heads", {1, 4096});
  config.head_dim = object.required_int("head_dim", {1, 1024});
  config.max_batch_size = object.required_int("max_batch_size", {1, 1 << 20});
  config.max_num_tokens = object.required_int("max_num_tokens", {1, 1 << 24});
  config.max_seq_len = object.required_int("max_seq_len", {1, 1 << 30});
  config.max_input_len = object.required_int("max_input_len", {1, 1 << 30});
  config.tokens_per_block = object.required_int("tokens_per_block", {1, 1024});
  config.tp_size = object.required_int("tp_size", {1, 1024});
  config.pp_size = object.required_int("pp_size", {1, 1024});
  config.bos_token_id =
      static_cast<int32_t>(object.required_int("bos_token_id", {-1, config.vocab_size - 1}));
  for (const int64_t id : object.required("eos_token_ids").as_ints({0, config.vocab_size - 1})) {
    config.eos_token_ids.push_back(static_cast<int32_t>(id));
  }
  return config;
}

}  // namespace octavo

// ModelConfig: the numbers of a decoder-only model, read from a Hugging Face config.json.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace octavo {

// RoPE frequencies. `type` "default" uses theta alone; "llama3" rescales low frequencies, "linear"
// all of them.
struct RopeConfig {
  double theta = 10000.0;
  std::string type = "default";
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position = 8192;
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  std::string model_type;    // "llama"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position = 0;
  float rms_norm_eps = 1e-6f;
  RopeConfig rope;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  int64_t num_experts = 0;  // 0: the MLP is dense
  int64_t experts_per_token = 0;
  int64_t sliding_window = 0;        // keys that a query sees, its own included; 0: all
  int64_t first_windowed_layer = 0;  // layers below it see all keys
  DType dtype = DType::kBF16;        // of the checkpoint's weights
  int32_t bos_token_id = -1;         // -1: none
  std::vector<int32_t> eos_token_ids;

  int64_t query_size() const { return num_heads * head_dim; }
  int64_t kv_size() const { return num_kv_heads * head_dim; }
  int64_t window_of(int64_t layer) const {
    return layer < first_windowed_layer ? 0 : sliding_window;
  }
};

// Inverse frequencies [head_dim / 2] in float32, computed in double.
std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim);

// Reads the fields that all Llama-like models share and checks each; `file` is named in errors.
// Both spellings of RoPE and dtype are read (rope_theta + rope_scaling + torch_dtype;
// rope_parameters + dtype). Keys that change the arithmetic are refused by name, but for those that
// the model file reads itself.
ModelConfig read_common_config(const nlohmann::json& json, const std::string& file,
                               std::initializer_list<std::string_view> read_by_model = {});

// For models whose checkpoints have none: attention_bias and mlp_bias must be false.
void refuse_biases(const ModelConfig& config, const std::string& file);

// sliding_window where use_sliding_window switches it on, from layer max_window_layers on.
void read_optional_window(ModelConfig& config, const nlohmann::json& json, const std::string& file);

// layer_types, where it is given, must say what the config's window says.
void check_layer_types(const ModelConfig& config, const nlohmann::json& json,
                       const std::string& file);

// Adds generation_config.json's end-of-sequence ids to the config's and checks its sampling fields.
void merge_generation_config(ModelConfig& config, const nlohmann::json& json,
                             const std::string& file);

}  // namespace octavo

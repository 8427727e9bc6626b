// Mistral: what of its config differs from Llama's.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/mistral.h"

#include <nlohmann/json.hpp>

#include "io/json_object.h"
#include "model/arch/blocks.h"
#include "model/tensor_table.h"

namespace octavo {
namespace {

using namespace tensor_table;

constexpr auto kTensors = join(kEnds, kAttention, kMlp);
constexpr int64_t kDefaultWindow = 4096;  // where the key is absent; null means none

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  ModelConfig config = read_common_config(json, file, {"sliding_window"});
  refuse_biases(config, file);
  const JsonObject object(json, file);
  if (!object.has("num_key_value_heads"))
    throw bad_file(file, "num_key_value_heads",
                   "missing; expected a count: this family has a default of its own");
  const bool absent = !json.contains("sliding_window");
  config.sliding_window =
      object.optional_int("sliding_window", kPositiveInt32).value_or(absent ? kDefaultWindow : 0);
  check_layer_types(config, json, file);
  return config;
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  return emit_layers(config, options, kTensors);
}

}  // namespace

const Architecture kMistral = {
    .name = "MistralForCausalLM",
    .model_type = "mistral",
    .read_config = read_config,
    .tensors = kTensors,
    .emit = emit,
};

}  // namespace octavo

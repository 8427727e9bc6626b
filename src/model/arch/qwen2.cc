// Qwen2: what differs from Llama.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/qwen2.h"

#include "model/arch/blocks.h"
#include "model/tensor_table.h"

namespace octavo {
namespace {

using namespace tensor_table;

// No key of the config says so: q, k and v always have a bias, o never.
constexpr auto kTensors = join(kEnds, kAttention, kMlp, qkv_biases(nullptr));

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  ModelConfig config = read_common_config(json, file, {"sliding_window"});
  refuse_biases(config, file);
  read_optional_window(config, json, file);
  return config;
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  return emit_layers(config, options, kTensors);
}

}  // namespace

const Architecture kQwen2 = {
    .name = "Qwen2ForCausalLM",
    .model_type = "qwen2",
    .read_config = read_config,
    .tensors = kTensors,
    .emit = emit,
};

}  // namespace octavo

// Llama (2 to 3.3): the tensors of its checkpoint and its forward pass.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/llama.h"

#include "model/arch/blocks.h"
#include "model/tensor_table.h"

namespace octavo {
namespace {

using namespace tensor_table;

constexpr auto kTensors = join(kEnds, kAttention, kMlp, qkv_biases(attention_bias),
                               o_bias(attention_bias), mlp_biases(mlp_bias));

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  return read_common_config(json, file);
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  return emit_layers(config, options, kTensors);
}

}  // namespace

const Architecture kLlama = {
    .name = "LlamaForCausalLM",
    .model_type = "llama",
    .read_config = read_config,
    .tensors = kTensors,
    .emit = emit,
};

}  // namespace octavo

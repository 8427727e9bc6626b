// Mixtral: its experts' tensors, its config and its layer.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/mixtral.h"

#include "io/json_object.h"
#include "model/arch/blocks.h"
#include "model/tensor_table.h"

namespace octavo {
namespace {

using namespace tensor_table;

Shape from_hidden_to_experts(const ModelConfig& c) { return {c.num_experts, c.hidden_size}; }

// w1 is the gate, w3 the way up, w2 the way down.
constexpr std::array kExperts = {
    TensorEntry{"block_sparse_moe.gate.weight", Role::kRouter, kWhole, k16, true,
                from_hidden_to_experts, nullptr},
    TensorEntry{"block_sparse_moe.experts.*.w1.weight", Role::kGate, kAxisRows, k8, true,
                from_hidden_to_mlp, nullptr},
    TensorEntry{"block_sparse_moe.experts.*.w3.weight", Role::kUp, kAxisRows, k8, true,
                from_hidden_to_mlp, nullptr},
    TensorEntry{"block_sparse_moe.experts.*.w2.weight", Role::kDown, kAxisColumns, k8, true,
                from_mlp_to_hidden, nullptr},
};
constexpr auto kTensors = join(kEnds, kAttention, kExperts);

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  ModelConfig config = read_common_config(json, file, {"sliding_window", "num_local_experts"});
  refuse_biases(config, file);
  const JsonObject object(json, file);
  if (!object.has("num_key_value_heads"))
    throw bad_file(file, "num_key_value_heads",
                   "missing; expected a count: this family has a default of its own");
  if (!object.has("rope_parameters") && !object.has("rope_theta"))
    throw bad_file(file, "rope_theta",
                   "missing; expected a number: this family has a default of its own");
  config.num_experts = object.required_int("num_local_experts", {1, 256});
  config.experts_per_token = object.required_int("num_experts_per_tok", {1, config.num_experts});
  config.sliding_window = object.optional_int("sliding_window", kPositiveInt32).value_or(0);
  check_layer_types(config, json, file);
  return config;
}

TensorId sparse_moe(Decoder& d, TensorId h) {
  const Decoder::Routed routed = d.route(h, "block_sparse_moe.gate", /*normalize=*/true);
  const TensorId gate =
      d.expert_linear(routed, routed.x, "block_sparse_moe.experts.*.w1", Role::kGate);
  const TensorId up = d.expert_linear(routed, routed.x, "block_sparse_moe.experts.*.w3", Role::kUp);
  const TensorId down =
      d.expert_linear(routed, d.swiglu(gate, up), "block_sparse_moe.experts.*.w2", Role::kDown);
  return d.combine(routed, down);
}

TensorId layer(Decoder& d, TensorId x) {
  const TensorId h = d.norm(x, "input_layernorm", Role::kInputNorm);
  x = d.add(x, self_attention(d, h), Role::kAttentionResidual);
  const TensorId m = d.norm(x, "post_attention_layernorm", Role::kPostNorm);
  return d.add(x, sparse_moe(d, m), Role::kMlpResidual);
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  return emit_layers(config, options, kTensors, layer);
}

}  // namespace

const Architecture kMixtral = {
    .name = "MixtralForCausalLM",
    .model_type = "mixtral",
    .read_config = read_config,
    .tensors = kTensors,
    .emit = emit,
};

}  // namespace octavo

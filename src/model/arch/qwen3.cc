// Qwen3: its table of tensors, its config and its layer.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/qwen3.h"

#include "io/json_object.h"
#include "model/arch/blocks.h"
#include "model/tensor_table.h"

namespace octavo {
namespace {

using namespace tensor_table;

constexpr std::array kHeadNorms = {
    TensorEntry{"self_attn.q_norm.weight", Role::kHeadNorm, kWhole, k16, true, head, nullptr},
    TensorEntry{"self_attn.k_norm.weight", Role::kHeadNorm, kWhole, k16, true, head, nullptr},
};
constexpr auto kTensors =
    join(kEnds, kAttention, kHeadNorms, kMlp, qkv_biases(attention_bias), o_bias(attention_bias));

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  ModelConfig config = read_common_config(json, file, {"sliding_window"});
  if (config.mlp_bias) throw unsupported(file, "mlp_bias", "expected false");
  if (!JsonObject(json, file).has("head_dim"))
    throw bad_file(file, "head_dim",
                   "missing; expected a size: this family has a default of its own");
  read_optional_window(config, json, file);
  return config;
}

TensorId layer(Decoder& d, TensorId x) {
  const TensorId h = d.norm(x, "input_layernorm", Role::kInputNorm);
  const TensorId q = d.linear(h, "self_attn.q_proj", Role::kQ);
  const TensorId k = d.linear(h, "self_attn.k_proj", Role::kK);
  const TensorId v = d.linear(h, "self_attn.v_proj", Role::kV);
  const TensorId q_rotated = d.rope(d.norm(q, "self_attn.q_norm", Role::kHeadNorm));
  const TensorId k_rotated = d.rope(d.norm(k, "self_attn.k_norm", Role::kHeadNorm));
  const TensorId a = d.attention(q_rotated, k_rotated, v);
  x = d.add(x, d.linear(a, "self_attn.o_proj", Role::kO), Role::kAttentionResidual);
  const TensorId m = d.norm(x, "post_attention_layernorm", Role::kPostNorm);
  return d.add(x, swiglu_mlp(d, m), Role::kMlpResidual);
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  return emit_layers(config, options, kTensors, layer);
}

}  // namespace

const Architecture kQwen3 = {
    .name = "Qwen3ForCausalLM",
    .model_type = "qwen3",
    .read_config = read_config,
    .tensors = kTensors,
    .emit = emit,
};

}  // namespace octavo

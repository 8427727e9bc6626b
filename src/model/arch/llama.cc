// Llama (2 to 3.3): the tensors of its checkpoint and its forward pass.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/llama.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "model/decoder.h"

namespace octavo {
namespace {

using C = ModelConfig;
constexpr auto kAxisRows = ShardAxis::kRows;
constexpr auto kAxisColumns = ShardAxis::kColumns;
constexpr auto kWhole = ShardAxis::kReplicated;
constexpr auto k16 = Precision::kSixteenBit;
constexpr auto k8 = Precision::kEightBit;

constexpr bool untied(const C& c) { return !c.tie_word_embeddings; }
Shape hidden(const C& c) { return {c.hidden_size}; }
Shape vocabulary(const C& c) { return {c.vocab_size, c.hidden_size}; }
Shape from_hidden_to_queries(const C& c) { return {c.query_size(), c.hidden_size}; }
Shape from_hidden_to_kv(const C& c) { return {c.kv_size(), c.hidden_size}; }
Shape from_queries_to_hidden(const C& c) { return {c.hidden_size, c.query_size()}; }
Shape from_hidden_to_mlp(const C& c) { return {c.intermediate_size, c.hidden_size}; }
Shape from_mlp_to_hidden(const C& c) { return {c.hidden_size, c.intermediate_size}; }

constexpr TensorEntry kTensors[] = {
    {"model.embed_tokens.weight", Role::kEmbedding, kAxisRows, k16, false, vocabulary, nullptr},
    {"model.norm.weight", Role::kFinalNorm, kWhole, k16, false, hidden, nullptr},
    {"lm_head.weight", Role::kLmHead, kAxisRows, k16, false, vocabulary, untied},
    {"input_layernorm.weight", Role::kInputNorm, kWhole, k16, true, hidden, nullptr},
    {"self_attn.q_proj.weight", Role::kQ, kAxisRows, k8, true, from_hidden_to_queries, nullptr},
    {"self_attn.k_proj.weight", Role::kK, kAxisRows, k8, true, from_hidden_to_kv, nullptr},
    {"self_attn.v_proj.weight", Role::kV, kAxisRows, k8, true, from_hidden_to_kv, nullptr},
    {"self_attn.o_proj.weight", Role::kO, kAxisColumns, k8, true, from_queries_to_hidden, nullptr},
    {"post_attention_layernorm.weight", Role::kPostNorm, kWhole, k16, true, hidden, nullptr},
    {"mlp.gate_proj.weight", Role::kGate, kAxisRows, k8, true, from_hidden_to_mlp, nullptr},
    {"mlp.up_proj.weight", Role::kUp, kAxisRows, k8, true, from_hidden_to_mlp, nullptr},
    {"mlp.down_proj.weight", Role::kDown, kAxisColumns, k8, true, from_mlp_to_hidden, nullptr},
};

ModelConfig read_config(const nlohmann::json& json, const std::string& file) {
  ModelConfig config = read_common_config(json, file);
  if (config.attention_bias) throw unsupported(file, "attention_bias", "expected false");
  if (config.mlp_bias) throw unsupported(file, "mlp_bias", "expected false");
  return config;
}

TensorId layer(Decoder& d, TensorId x, int index) {
  d.begin_layer(index);
  const TensorId h = d.norm(x, "input_layernorm", Role::kInputNorm);
  const TensorId q = d.rope(d.linear(h, "self_attn.q_proj", Role::kQ));
  const TensorId k = d.rope(d.linear(h, "self_attn.k_proj", Role::kK));
  const TensorId v = d.linear(h, "self_attn.v_proj", Role::kV);
  const TensorId o = d.linear(d.attention(q, k, v), "self_attn.o_proj", Role::kO);
  x = d.add(x, o, Role::kAttentionResidual);
  const TensorId m = d.norm(x, "post_attention_layernorm", Role::kPostNorm);
  const TensorId gate = d.linear(m, "mlp.gate_proj", Role::kGate);
  const TensorId up = d.linear(m, "mlp.up_proj", Role::kUp);
  const TensorId down = d.linear(d.swiglu(gate, up), "mlp.down_proj", Role::kDown);
  return d.add(x, down, Role::kMlpResidual);
}

Program emit(const ModelConfig& config, const EmitOptions& options) {
  Decoder decoder(config, options, kTensors);
  TensorId x = decoder.embed();
  for (int i = 0; i < config.num_layers; ++i) x = layer(decoder, x, i);
  return decoder.finish(x);
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

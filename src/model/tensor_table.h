// Parts of tables of tensors, which model files put together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>

#include "model/architecture.h"

namespace octavo::tensor_table {

using Predicate = bool (*)(const ModelConfig&);

inline Shape hidden(const ModelConfig& c) { return {c.hidden_size}; }
inline Shape head(const ModelConfig& c) { return {c.head_dim}; }
inline Shape queries(const ModelConfig& c) { return {c.query_size()}; }
inline Shape keys(const ModelConfig& c) { return {c.kv_size()}; }
inline Shape mlp(const ModelConfig& c) { return {c.intermediate_size}; }
inline Shape vocabulary(const ModelConfig& c) { return {c.vocab_size, c.hidden_size}; }
inline Shape from_hidden_to_queries(const ModelConfig& c) {
  return {c.query_size(), c.hidden_size};
}
inline Shape from_hidden_to_kv(const ModelConfig& c) { return {c.kv_size(), c.hidden_size}; }
inline Shape from_queries_to_hidden(const ModelConfig& c) {
  return {c.hidden_size, c.query_size()};
}
inline Shape from_hidden_to_mlp(const ModelConfig& c) {
  return {c.intermediate_size, c.hidden_size};
}
inline Shape from_mlp_to_hidden(const ModelConfig& c) {
  return {c.hidden_size, c.intermediate_size};
}

inline constexpr auto kAxisRows = ShardAxis::kRows;
inline constexpr auto kAxisColumns = ShardAxis::kColumns;
inline constexpr auto kWhole = ShardAxis::kReplicated;
inline constexpr auto k16 = Precision::kSixteenBit;
inline constexpr auto k8 = Precision::kEightBit;

// Embedding, final norm, and a head of its own where the embedding does not serve.
inline constexpr std::array kEnds = {
    TensorEntry{"model.embed_tokens.weight", Role::kEmbedding, kAxisRows, k16, false, vocabulary,
                nullptr},
    TensorEntry{"model.norm.weight", Role::kFinalNorm, kWhole, k16, false, hidden, nullptr},
    TensorEntry{"lm_head.weight", Role::kLmHead, kAxisRows, k16, false, vocabulary,
                [](const ModelConfig& c) { return !c.tie_word_embeddings; }},
};

inline constexpr std::array kAttention = {
    TensorEntry{"input_layernorm.weight", Role::kInputNorm, kWhole, k16, true, hidden, nullptr},
    TensorEntry{"self_attn.q_proj.weight", Role::kQ, kAxisRows, k8, true, from_hidden_to_queries,
                nullptr},
    TensorEntry{"self_attn.k_proj.weight", Role::kK, kAxisRows, k8, true, from_hidden_to_kv,
                nullptr},
    TensorEntry{"self_attn.v_proj.weight", Role::kV, kAxisRows, k8, true, from_hidden_to_kv,
                nullptr},
    TensorEntry{"self_attn.o_proj.weight", Role::kO, kAxisColumns, k8, true, from_queries_to_hidden,
                nullptr},
    TensorEntry{"post_attention_layernorm.weight", Role::kPostNorm, kWhole, k16, true, hidden,
                nullptr},
};

inline constexpr std::array kMlp = {
    TensorEntry{"mlp.gate_proj.weight", Role::kGate, kAxisRows, k8, true, from_hidden_to_mlp,
                nullptr},
    TensorEntry{"mlp.up_proj.weight", Role::kUp, kAxisRows, k8, true, from_hidden_to_mlp, nullptr},
    TensorEntry{"mlp.down_proj.weight", Role::kDown, kAxisColumns, k8, true, from_mlp_to_hidden,
                nullptr},
};

// A bias follows the rows of its weight; one behind summed partial products stays whole.
constexpr std::array<TensorEntry, 3> qkv_biases(Predicate present) {
  return {{{"self_attn.q_proj.bias", Role::kQ, kAxisRows, k16, true, queries, present},
           {"self_attn.k_proj.bias", Role::kK, kAxisRows, k16, true, keys, present},
           {"self_attn.v_proj.bias", Role::kV, kAxisRows, k16, true, keys, present}}};
}
constexpr std::array<TensorEntry, 1> o_bias(Predicate present) {
  return {{{"self_attn.o_proj.bias", Role::kO, kWhole, k16, true, hidden, present}}};
}
constexpr std::array<TensorEntry, 3> mlp_biases(Predicate present) {
  return {{{"mlp.gate_proj.bias", Role::kGate, kAxisRows, k16, true, mlp, present},
           {"mlp.up_proj.bias", Role::kUp, kAxisRows, k16, true, mlp, present},
           {"mlp.down_proj.bias", Role::kDown, kWhole, k16, true, hidden, present}}};
}

inline bool attention_bias(const ModelConfig& c) { return c.attention_bias; }
inline bool mlp_bias(const ModelConfig& c) { return c.mlp_bias; }

// One table of all parts, in their order.
template <size_t... N>
constexpr std::array<TensorEntry, (N + ...)> join(const std::array<TensorEntry, N>&... parts) {
  std::array<TensorEntry, (N + ...)> table{};
  auto* end = table.begin();
  ((end = std::copy(parts.begin(), parts.end(), end)), ...);
  return table;
}

}  // namespace octavo::tensor_table

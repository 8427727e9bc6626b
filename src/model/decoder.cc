// The blocks of decoder-only models.
// SPDX-License-Identifier: Apache-2.0
#include "model/decoder.h"

#include <cmath>

#include "program/batch.h"

namespace octavo {

Decoder::Decoder(const ModelConfig& config, const EmitOptions& options,
                 std::span<const TensorEntry> tensors)
    : config_(config), options_(options), tensors_(tensors), recorder_(options.dtype) {
  const Dim tokens = Dim::of(Symbol::kTokens);
  const Dim sequences = Dim::of(Symbol::kSequences);
  ids_ = recorder_.input(kTokenIds, {tokens});
  positions_ = recorder_.input(kPositions, {tokens});
  slots_ = recorder_.input(kSlots, {tokens}, DType::kI64);
  sequences_ = {recorder_.input(kQueryStart, {sequences}),
                recorder_.input(kQueryLength, {sequences}), recorder_.input(kKvLength, {sequences}),
                recorder_.input(kBlockTable, {sequences, Dim::of(Symbol::kTableWidth)})};
  logit_rows_ = recorder_.input(kLogitRows, {Dim::of(Symbol::kLogitRows)});
  inverse_frequency_ = recorder_.literal("rope.inverse_frequency",
                                         inverse_frequencies(config.rope, config.head_dim));
}

std::string Decoder::module(std::string_view name) const {
  return fmt::format("model.layers.{}.{}", layer_, name);
}

TensorId Decoder::weight(const std::string& prefix, std::string_view name) {
  const TensorId id = optional_tensor(prefix, std::string(name) + ".weight");
  OCTAVO_CHECK(id != kNoTensor);  // every weight stands in the table of tensors
  return id;
}

TensorId Decoder::optional_tensor(const std::string& prefix, const std::string& name) {
  for (const TensorEntry& entry : tensors_) {
    if (entry.name != name || (entry.present != nullptr && !entry.present(config_))) continue;
    const Shape one = entry.shape(config_);
    if (name.find('*') == std::string::npos) return recorder_.weight(prefix + name, one);
    OCTAVO_CHECK(one.rank() == 2);
    return recorder_.weight(prefix + name, {config_.num_experts, one[0], one[1]});
  }
  return kNoTensor;
}

TensorId Decoder::embed() {
  embedding_ = weight("", "model.embed_tokens");
  return recorder_.embedding(ids_, embedding_, "model.embed_tokens");
}

void Decoder::begin_layer(int index) {
  layer_ = index;
  recorder_.set_layer(index);
}

TensorId Decoder::norm(TensorId x, std::string_view name, Role role) {
  return recorder_.rms_norm(x, weight(module(""), name), config_.rms_norm_eps, role, module(name));
}

TensorId Decoder::linear(TensorId x, std::string_view name, Role role) {
  const TensorId matrix = weight(module(""), name);
  const TensorId bias = optional_tensor(module(""), std::string(name) + ".bias");
  return recorder_.linear(x, matrix, bias, role, module(name));
}

TensorId Decoder::rope(TensorId x) {
  return recorder_.rope(x, positions_, inverse_frequency_, config_.head_dim);
}

TensorId Decoder::attention(TensorId q, TensorId k, TensorId v) {
  const SymbolicShape shape = {Dim::of(Symbol::kCacheBlocks), Dim::constant(config_.num_kv_heads),
                               Dim::constant(options_.tokens_per_block),
                               Dim::constant(config_.head_dim)};
  const TensorId k_cache = recorder_.cache(fmt::format("cache.{}.k", layer_), shape);
  const TensorId v_cache = recorder_.cache(fmt::format("cache.{}.v", layer_), shape);
  recorder_.kv_append(k, v, slots_, k_cache, v_cache, module("self_attn"));
  const AttentionParams params = {
      .num_heads = config_.num_heads,
      .num_kv_heads = config_.num_kv_heads,
      .head_dim = config_.head_dim,
      .softmax_scale = static_cast<float>(1.0 / std::sqrt(config_.head_dim)),
      .window = config_.window_of(layer_)};
  return recorder_.attention(q, k_cache, v_cache, sequences_, params, module("self_attn"));
}

TensorId Decoder::swiglu(TensorId gate, TensorId up) {
  return recorder_.swiglu(gate, up, module("mlp"));
}

Decoder::Routed Decoder::route(TensorId x, std::string_view router, bool normalize) {
  const TensorId logits = recorder_.router(x, weight(module(""), router), module(router));
  const Recorder::Routes routes =
      recorder_.route(logits, slots_, {.top_k = config_.experts_per_token, .normalize = normalize});
  const Recorder::Permuted permuted = recorder_.permute(x, routes.experts, config_.num_experts);
  return {.x = permuted.x,
          .offsets = permuted.offsets,
          .rows = permuted.rows,
          .weights = routes.weights};
}

TensorId Decoder::expert_linear(const Routed& routed, TensorId x, std::string_view name,
                                Role role) {
  return recorder_.grouped_linear(x, weight(module(""), name), routed.offsets, role, module(name));
}

TensorId Decoder::combine(const Routed& routed, TensorId x) {
  return recorder_.combine(x, routed.rows, routed.weights);
}

TensorId Decoder::add(TensorId a, TensorId b, Role role) { return recorder_.add(a, b, role); }

Program Decoder::finish(TensorId x) {
  recorder_.set_layer(static_cast<int>(config_.num_layers));
  const TensorId rows = recorder_.gather_rows(x, logit_rows_);
  const TensorId h = recorder_.rms_norm(rows, weight("", "model.norm"), config_.rms_norm_eps,
                                        Role::kFinalNorm, "model.norm");
  const TensorId head = config_.tie_word_embeddings ? embedding_ : weight("", "lm_head");
  recorder_.logits(h, head, "lm_head");
  return recorder_.finish();
}

}  // namespace octavo

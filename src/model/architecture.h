// Architecture: what a model file provides, and the table of all of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "program/program.h"

namespace octavo {

// Which axis of a weight [out, in] tensor parallelism cuts.
enum class ShardAxis : uint8_t {
  kReplicated,
  kRows,     // output features: q, k, v, gate, up, embedding and lm_head (vocabulary)
  kColumns,  // input features: o, down
};

// The lowest precision that an algorithm may give a tensor.
enum class Precision : uint8_t { kSixteenBit, kEightBit };

// One tensor of a layer (or of the model, where `per_layer` is false) as the checkpoint names it.
struct TensorEntry {
  // "self_attn.q_proj.weight", below "model.layers.<i>." where per_layer. A `*` stands for the
  // number of an expert: every expert has a tensor of this shape.
  std::string_view name;
  Role role;
  ShardAxis shard;
  Precision lowest;
  bool per_layer;
  Shape (*shape)(const ModelConfig&);
  bool (*present)(const ModelConfig&);  // null: always
};

struct EmitOptions {
  DType dtype = DType::kBF16;  // activations, weights and caches
  int64_t tokens_per_block = 32;
};

struct Architecture {
  std::string_view name;        // config.json's architectures[0]
  std::string_view model_type;  // config.json's model_type
  ModelConfig (*read_config)(const nlohmann::json& json, const std::string& file);
  std::span<const TensorEntry> tensors;
  Program (*emit)(const ModelConfig& config, const EmitOptions& options);
};

// The architecture that config.json names; throws Error(kUnsupported) listing the supported ones.
const Architecture& find_architecture(const nlohmann::json& json, const std::string& file);
std::span<const Architecture* const> all_architectures();

// One tensor of a concrete model.
struct ModelTensor {
  std::string name;    // "model.layers.0.self_attn.q_proj.weight"
  std::string module;  // the name without ".weight" / ".bias"
  Role role;
  ShardAxis shard;
  Precision lowest;
  Shape shape;
  std::string of_all_experts;  // the module with `*` for its expert; empty where it has none

  bool is_bias() const { return name.ends_with(".bias"); }
};
std::vector<ModelTensor> model_tensors(const Architecture& architecture, const ModelConfig& config);

}  // namespace octavo

// The table of architectures: one line a model file.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <nlohmann/json.hpp>

#include "model/arch/llama.h"
#include "model/arch/mistral.h"
#include "model/arch/mixtral.h"
#include "model/arch/qwen2.h"
#include "model/arch/qwen3.h"
#include "model/architecture.h"

namespace octavo {
namespace {

constexpr std::array kArchitectures = {
    &kLlama, &kMistral, &kMixtral, &kQwen2, &kQwen3,
};

std::string supported() {
  std::string names;
  for (const Architecture* architecture : kArchitectures) {
    names += (names.empty() ? "" : ", ") + std::string(architecture->name);
  }
  return names;
}

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }

}  // namespace

std::span<const Architecture* const> all_architectures() { return kArchitectures; }

const Architecture& find_architecture(const nlohmann::json& json, const std::string& file) {
  const auto it = json.find("architectures");
  if (it == json.end() || !it->is_array() || it->size() != 1 || !it->front().is_string()) {
    throw unsupported(file, "architectures",
                      fmt::format("expected a list of exactly one of {}", supported()));
  }
  const std::string name = it->front().get<std::string>();
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->name != name) continue;
    const auto type = json.find("model_type");
    if (type != json.end() && *type != architecture->model_type) {
      throw unsupported(file, "model_type",
                        fmt::format("expected \"{}\" for {}, got {}", architecture->model_type,
                                    name, printable(type->dump(-1, ' ', true))));
    }
    return *architecture;
  }
  throw unsupported(file, "architectures",
                    fmt::format("expected one of {}, got \"{}\"", supported(), printable(name)));
}

std::vector<ModelTensor> model_tensors(const Architecture& architecture,
                                       const ModelConfig& config) {
  std::vector<ModelTensor> tensors;
  const auto add = [&](const TensorEntry& entry, const std::string& prefix) {
    if (entry.present != nullptr && !entry.present(config)) return;
    const std::string pattern = prefix + std::string(entry.name);
    const bool of_experts = pattern.find('*') != std::string::npos;
    for (const std::string& name : checkpoint_names(pattern, config.num_experts)) {
      tensors.push_back({.name = name,
                         .module = module_of(name),
                         .role = entry.role,
                         .shard = entry.shard,
                         .lowest = entry.lowest,
                         .shape = entry.shape(config),
                         .of_all_experts = of_experts ? module_of(pattern) : std::string()});
    }
  };
  for (const TensorEntry& entry : architecture.tensors) {
    if (!entry.per_layer) add(entry, "");
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const TensorEntry& entry : architecture.tensors) {
      if (entry.per_layer) add(entry, fmt::format("model.layers.{}.", layer));
    }
  }
  return tensors;
}

}  // namespace octavo

// ModelDir: a Hugging Face model folder, read and checked: config, weights, how it is quantized.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "io/quantization_config.h"
#include "model/architecture.h"
#include "model/weight_source.h"

namespace octavo {

enum class LoadFormat { kAuto, kDummy };

struct ModelDir {
  std::filesystem::path path;
  nlohmann::json config_json;
  ModelConfig config;
  const Architecture* architecture = nullptr;
  CheckpointQuantization quantization;
  std::shared_ptr<const WeightSource> weights;
  bool has_tokenizer = false;
  uint64_t weight_bytes = 0;  // of all tensors

  // Error(kEnvironment) where a weight file changed since it was opened; call it after the last
  // read.
  void verify_unchanged() const;
};

// Reads config.json and generation_config.json, and checks every tensor of the architecture's table
// against the checkpoint: all findings in one Error(kBadFile). With kDummy only config.json is
// needed; weights are random, of the scheme `dummy_quantization` (see model/dummy_weights.h).
ModelDir open_model_dir(const std::filesystem::path& path,
                        LoadFormat load_format = LoadFormat::kAuto,
                        const CheckpointQuantization& dummy_quantization = {});

// What travels with a model unchanged, by file name: tokenizer, generation config, chat template.
std::vector<std::pair<std::string, std::string>> companion_files(const ModelDir& model);

}  // namespace octavo

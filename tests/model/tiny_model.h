// A tiny Llama with dummy weights, in memory, for tests of everything that takes a model.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/kernels.h"
#include "model/arch/llama.h"
#include "model/dummy_weights.h"
#include "model/model_dir.h"

namespace octavo {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.model_type = "llama";
  config.vocab_size = 61;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.max_position = 256;
  config.rms_norm_eps = 1e-5f;
  config.bos_token_id = 0;
  config.eos_token_ids = {1};
  return config;
}

inline CheckpointQuantization fp8_with_kv_cache() {
  CheckpointQuantization quantization;
  quantization.method = "modelopt";
  quantization.weights = kFp8PerTensor;
  quantization.inputs = kFp8PerTensor;
  quantization.kv_cache = kFp8PerTensor;
  quantization.exclude_modules = {"lm_head"};
  return quantization;
}

inline ModelDir tiny_model(const CheckpointQuantization& quantization = {},
                           ModelConfig config = tiny_config()) {
  ModelDir model;
  model.path = "tiny";
  model.config = config;
  model.architecture = &kLlama;
  model.quantization = quantization;
  model.weights = std::make_shared<DummyWeights>(kLlama, config, quantization);
  return model;
}

inline const KernelRegistry& cpu_registry() {
  static const KernelRegistry registry = [] {
    KernelRegistry all;
    all.add(cpu_kernels());
    return all;
  }();
  return registry;
}

}  // namespace octavo

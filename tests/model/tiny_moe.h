// A tiny Mixtral with dummy weights, in memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/arch/mixtral.h"
#include "model/tiny_model.h"

namespace octavo {

inline constexpr int64_t kTinyExperts = 4;

inline ModelDir tiny_moe(const CheckpointQuantization& quantization = {}) {
  ModelConfig config = tiny_config();
  config.num_experts = kTinyExperts;
  config.experts_per_token = 2;
  ModelDir model;
  model.path = "tiny_moe";
  model.config = config;
  model.architecture = &kMixtral;
  model.quantization = quantization;
  model.weights = std::make_shared<DummyWeights>(kMixtral, config, quantization);
  return model;
}

}  // namespace octavo

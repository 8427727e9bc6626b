// The embedded model under small limits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "octavo/llm.h"

namespace octavo {

inline const std::filesystem::path kPocket = OCTAVO_SOURCE_DIR "/models/pocket-llama";

inline ModelOptions pocket_options() {
  ModelOptions options{.model_dir = kPocket};
  options.build_config.max_batch_size = 4;
  options.build_config.max_num_tokens = 256;
  options.build_config.max_seq_len = 512;
  return options;
}

// The same shape with random weights.
inline ModelOptions dummy_options() {
  ModelOptions options = pocket_options();
  options.load_format = "dummy";
  return options;
}

inline RuntimeOptions small_runtime() {
  RuntimeOptions options;
  options.kv_cache_config.max_tokens = 2048;
  return options;
}

inline SamplingParams greedy(int64_t max_tokens) {
  SamplingParams sampling;
  sampling.max_tokens = max_tokens;
  return sampling;
}

}  // namespace octavo

// BuildOptions: what `build` is asked for, with the checks that need no weights.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/config.h"
#include "ops/kernel.h"

namespace octavo {

// TensorRT-LLM's plugin flags, by its names. A dtype plugin is "disable" where it is off.
struct PluginConfig {
  std::string gemm_plugin = "auto";                        // auto, fp8, bfloat16, disable
  std::string gemm_swiglu_plugin = "disable";              // disable, fp8
  std::string low_latency_gemm_plugin = "disable";         // disable, fp8
  std::string low_latency_gemm_swiglu_plugin = "disable";  // disable, fp8
  bool reduce_fusion = false;
  bool user_buffer = false;
  bool use_paged_context_fmha = true;
  bool use_fp8_context_fmha = false;
  bool multiple_profiles = true;
  bool use_fused_mlp = true;
  bool norm_quant_fusion = true;
};

struct BuildOptions {
  DeviceType device = DeviceType::kCpu;
  std::string dtype = "auto";           // auto, float32, bfloat16
  std::string kv_cache_dtype = "auto";  // auto, fp8, bfloat16
  int64_t tp_size = 1;
  int64_t pp_size = 1;
  int64_t max_batch_size = 2048;
  int64_t max_num_tokens = 8192;
  std::optional<int64_t> max_seq_len;    // the model's where absent
  std::optional<int64_t> max_input_len;  // max_seq_len where absent
  int64_t tokens_per_block = 32;
  PluginConfig plugins;
};

// What the checks need to know of a checkpoint.
struct CheckpointFacts {
  bool quantized = false;  // linears are FP8
  bool kv_scales = false;  // calibrated K and V scales are present
  int64_t devices = 1;     // that this machine could use
};

// Refuses by name every combination that cannot work, before any weight is read:
// Error(kUnsupported) saying what to change, Error(kUsage) for values out of range. Returns notices
// for what is accepted but has no effect.
std::vector<std::string> check_build_options(const BuildOptions& options, const ModelConfig& config,
                                             const CheckpointFacts& facts);

// The element type of activations: as asked for; "auto" is float32 for float32 checkpoints, else
// bfloat16.
DType activation_dtype(const BuildOptions& options, const ModelConfig& config);

int64_t resolved_max_seq_len(const BuildOptions& options, const ModelConfig& config);

}  // namespace octavo

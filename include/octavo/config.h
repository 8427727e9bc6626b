// Options by TensorRT-LLM's names: of the engine, its KV cache, and how tokens are drawn.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  bool rope_attention_fusion = true;  // Octavo's own
  bool norm_linear_fusion = false;    // Octavo's own

  bool operator==(const PluginConfig&) const = default;
};

struct BuildConfig {
  std::string device = "auto";          // auto, cpu, cuda
  std::string dtype = "auto";           // auto, float32, bfloat16
  std::string kv_cache_dtype = "auto";  // auto, fp8, bfloat16
  int64_t tp_size = 1;
  int64_t pp_size = 1;
  int64_t max_batch_size = 2048;
  int64_t max_num_tokens = 8192;
  std::optional<int64_t> max_seq_len;    // the model's where absent
  std::optional<int64_t> max_input_len;  // max_seq_len where absent
  int64_t tokens_per_block = 32;
  bool deterministic = false;  // batch-invariant kernels only; the CPU's all are
  PluginConfig plugin_config;
};

struct KvCacheConfig {
  bool enable_block_reuse = true;
  int64_t max_tokens = 0;  // of the pool; 0: what the memory fraction allows
  double free_gpu_memory_fraction =
      0.9;  // of the memory that is free after loading, on the CPU too
};

// How one request's tokens are drawn and where it ends.
struct SamplingParams {
  int64_t max_tokens = 32;
  int64_t min_tokens = 0;  // end and stop ids cannot be drawn before

  // All of these unset: greedy.
  std::optional<float> temperature;  // 0: greedy
  std::optional<float> top_p;
  std::optional<int32_t> top_k;  // 0: all
  std::optional<float> min_p;    // of the most probable token's probability
  std::optional<uint64_t> seed;

  std::optional<float> repetition_penalty;  // over prompt and output
  std::optional<float> presence_penalty;    // over the output
  std::optional<float> frequency_penalty;   // over the output

  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;

  std::optional<int32_t> logprobs;         // 0: of the drawn token alone; n: of the n likeliest too
  std::optional<int32_t> prompt_logprobs;  // refused: evaluation computes them

  bool skip_special_tokens = true;
  bool add_special_tokens = true;
};

}  // namespace octavo

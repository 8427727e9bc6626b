// Checks of build options: what cannot work is refused by name before any weight is read.
// SPDX-License-Identifier: Apache-2.0
#include "builder/build_options.h"

#include <fmt/ranges.h>

#include <array>

#include "builder/shard.h"

namespace octavo {
namespace {

[[noreturn]] void refuse(std::string_view what, std::string_view fix) {
  throw Error(ErrorCategory::kUnsupported, fmt::format("{}: {}", what, fix));
}

void require_one_of(std::string_view flag, const std::string& value,
                    std::span<const std::string_view> allowed) {
  for (const std::string_view choice : allowed) {
    if (value == choice) return;
  }
  throw Error(ErrorCategory::kUsage, fmt::format("--{}: expected {}, got \"{}\"", flag,
                                                 fmt::join(allowed, "|"), printable(value)));
}

void require_range(std::string_view flag, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return;
  throw Error(ErrorCategory::kUsage,
              fmt::format("--{}: expected {} to {}, got {}", flag, min, max, value));
}

void check_values(const BuildConfig& options) {
  constexpr std::array<std::string_view, 2> kFp8Plugin = {"disable", "fp8"};
  constexpr std::array<std::string_view, 4> kGemmPlugin = {"auto", "fp8", "bfloat16", "disable"};
  constexpr std::array<std::string_view, 3> kDtypes = {"auto", "float32", "bfloat16"};
  constexpr std::array<std::string_view, 3> kKvDtypes = {"auto", "fp8", "bfloat16"};
  require_one_of("dtype", options.dtype, kDtypes);
  require_one_of("kv_cache_dtype", options.kv_cache_dtype, kKvDtypes);
  require_one_of("gemm_plugin", options.plugin_config.gemm_plugin, kGemmPlugin);
  require_one_of("gemm_swiglu_plugin", options.plugin_config.gemm_swiglu_plugin, kFp8Plugin);
  require_one_of("low_latency_gemm_plugin", options.plugin_config.low_latency_gemm_plugin,
                 kFp8Plugin);
  require_one_of("low_latency_gemm_swiglu_plugin",
                 options.plugin_config.low_latency_gemm_swiglu_plugin, kFp8Plugin);
  require_range("max_batch_size", options.max_batch_size, 1, 1 << 16);
  require_range("max_num_tokens", options.max_num_tokens, 1, 1 << 20);
  require_range("tp_size", options.tp_size, 1, 64);
  require_range("pp_size", options.pp_size, 1, 64);
  require_range("tokens_per_block", options.tokens_per_block, 1, 1024);
  if ((options.tokens_per_block & (options.tokens_per_block - 1)) != 0) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("--tokens_per_block: expected a power of two, got {}",
                            options.tokens_per_block));
  }
}

void check_lengths(const BuildConfig& options, const ModelConfig& config) {
  const int64_t max_seq_len = resolved_max_seq_len(options, config);
  if (options.max_seq_len)
    require_range("max_seq_len", *options.max_seq_len, 1, config.max_position);
  if (options.max_input_len) require_range("max_input_len", *options.max_input_len, 1, max_seq_len);
}

void check_plugins(const PluginConfig& plugins, const CheckpointFacts& facts) {
  const bool swiglu = plugins.gemm_swiglu_plugin == "fp8";
  const bool low_latency_swiglu = plugins.low_latency_gemm_swiglu_plugin == "fp8";
  if (plugins.user_buffer && !plugins.reduce_fusion) {
    refuse("--user_buffer enable", "needs --reduce_fusion enable");
  }
  if (swiglu && low_latency_swiglu) {
    refuse("--gemm_swiglu_plugin fp8 with --low_latency_gemm_swiglu_plugin fp8",
           "choose one of the two");
  }
  if ((swiglu || low_latency_swiglu) && !plugins.use_fused_mlp) {
    refuse("a SwiGLU plugin", "needs --use_fused_mlp enable");
  }
  const std::pair<const char*, bool> fp8_plugins[] = {
      {"--gemm_plugin fp8", plugins.gemm_plugin == "fp8"},
      {"--gemm_swiglu_plugin fp8", swiglu},
      {"--low_latency_gemm_plugin fp8", plugins.low_latency_gemm_plugin == "fp8"},
      {"--low_latency_gemm_swiglu_plugin fp8", low_latency_swiglu}};
  for (const auto& [flag, on] : fp8_plugins) {
    if (on && !facts.quantized)
      refuse(flag, "needs an FP8 checkpoint: run `octavo quantize --qformat fp8` first");
  }
}

constexpr int kLeastFp8Capability = 89;

// Below, there are no FP8 products; running them in 16 bit would be another engine.
void check_capability(const CheckpointFacts& facts, const BuildConfig& options) {
  const bool fp8 = facts.quantized || options.kv_cache_dtype == "fp8";
  if (!fp8 || facts.compute_capability == 0 || facts.compute_capability >= kLeastFp8Capability)
    return;
  refuse(fmt::format("FP8 on a device of compute capability {}.{}", facts.compute_capability / 10,
                     facts.compute_capability % 10),
         "needs 8.9 or later: use the 16-bit checkpoint, or --device cpu");
}

void check_kv_cache(const BuildConfig& options, const ModelConfig& config,
                    const CheckpointFacts& facts) {
  if (options.kv_cache_dtype == "bfloat16" && activation_dtype(options, config) == DType::kF32) {
    refuse("--kv_cache_dtype bfloat16", "activations are float32, and so is their cache: use auto");
  }
  if (options.kv_cache_dtype == "fp8" && !facts.kv_scales) {
    refuse("--kv_cache_dtype fp8",
           "the checkpoint has no calibrated K and V scales: run `octavo quantize "
           "--kv_cache_dtype fp8`");
  }
  const bool fp8_cache =
      options.kv_cache_dtype == "fp8" || (options.kv_cache_dtype == "auto" && facts.kv_scales);
  if (options.plugin_config.use_fp8_context_fmha && !fp8_cache) {
    refuse("--use_fp8_context_fmha enable", "needs an FP8 KV cache (--kv_cache_dtype fp8)");
  }
}

// The values that check_parallelism lets pass, for its messages.
std::string legal_tp_sizes(const ModelConfig& config) {
  std::vector<int64_t> legal;
  for (int64_t tp = 1; tp <= 64; ++tp) {
    if (shards_layers(config, tp)) legal.push_back(tp);
  }
  return fmt::format("{}", fmt::join(legal, ", "));
}

void check_parallelism(const BuildConfig& options, const ModelConfig& config,
                       const CheckpointFacts& facts) {
  const int64_t tp = options.tp_size;
  if (config.num_heads % tp != 0 || config.intermediate_size % tp != 0) {
    refuse(fmt::format("--tp_size {}", tp),
           fmt::format("must divide num_attention_heads {} and intermediate_size {}; this model "
                       "takes {}",
                       config.num_heads, config.intermediate_size, legal_tp_sizes(config)));
  }
  if (config.num_kv_heads % tp != 0 && tp % config.num_kv_heads != 0) {
    refuse(fmt::format("--tp_size {}", tp),
           fmt::format("must divide num_key_value_heads {} or be a multiple of it; this model "
                       "takes {}",
                       config.num_kv_heads, legal_tp_sizes(config)));
  }
  if (options.pp_size > config.num_layers) {
    refuse(fmt::format("--pp_size {}", options.pp_size),
           fmt::format("the model has {} layers", config.num_layers));
  }
  if (tp * options.pp_size > facts.devices) {
    refuse(fmt::format("--tp_size {} × --pp_size {}", tp, options.pp_size),
           fmt::format("needs {} devices, this machine offers {}", tp * options.pp_size,
                       facts.devices));
  }
}

// What a CUDA device would do differently and the CPU does not.
void add_cpu_notices(const PluginConfig& plugins, bool gemm_plugin,
                     std::vector<std::string>& notices) {
  if (plugins.use_fp8_context_fmha)
    refuse("--use_fp8_context_fmha enable", "the CPU backend has no FP8 attention");
  if (gemm_plugin)
    notices.push_back("the CPU backend runs the unfused meaning of the GEMM plugins");
  if (plugins.gemm_plugin == "disable") notices.push_back("--gemm_plugin has no effect on the CPU");
  if (!plugins.use_paged_context_fmha) {
    notices.push_back(
        "--use_paged_context_fmha disable has no effect on the CPU: its attention reads the paged "
        "cache");
  }
  if (!plugins.multiple_profiles) {
    notices.push_back("--multiple_profiles disable has no effect on the CPU: it has one profile");
  }
}

// What SwiGLU makes must have one scale, known before, to become codes in the same kernel.
void check_swiglu_scales(const PluginConfig& plugins, const CheckpointFacts& facts) {
  if (!facts.dynamic_inputs) return;
  const std::pair<const char*, const std::string&> flags[] = {
      {"--gemm_swiglu_plugin fp8", plugins.gemm_swiglu_plugin},
      {"--low_latency_gemm_swiglu_plugin fp8", plugins.low_latency_gemm_swiglu_plugin}};
  for (const auto& [flag, value] : flags) {
    if (value == "fp8")
      refuse(flag,
             "needs a checkpoint with static input scales (--qformat fp8): this one's are made "
             "at run time");
  }
}

// Its kernel is for Hopper, and rounds and quantizes as the unfused calls do.
void check_swiglu_plugin(std::string_view flag, const BuildConfig& options,
                         const ModelConfig& config, const CheckpointFacts& facts) {
  const int capability = facts.compute_capability;
  if (capability != 0 && capability / 10 != 9) {
    refuse(fmt::format("{} on a device of compute capability {}.{}", flag, capability / 10,
                       capability % 10),
           "its kernel is for 9.x: leave it disabled");
  }
  if (!options.plugin_config.norm_quant_fusion) refuse(flag, "needs --norm_quant_fusion enable");
  if (activation_dtype(options, config) != DType::kBF16)
    refuse(flag, "needs bfloat16 activations: --dtype bfloat16");
}

// One kernel multiplies queries in FP8; where it cannot, the flag would have no effect.
void check_fp8_attention(const BuildConfig& options, const ModelConfig& config,
                         const CheckpointFacts& facts) {
  if (!options.plugin_config.use_fp8_context_fmha) return;
  const auto refuse_if = [](bool wrong, const char* reason) {
    if (wrong) refuse("--use_fp8_context_fmha enable", reason);
  };
  refuse_if(facts.compute_capability != 0 && facts.compute_capability / 10 != 9,
            "its kernel is for compute capability 9.x");
  refuse_if(options.deterministic,
            "its kernel is not batch-invariant, --deterministic leaves it out");
  refuse_if(activation_dtype(options, config) != DType::kBF16, "needs bfloat16 activations");
  refuse_if(config.head_dim != 64 && config.head_dim != 128, "needs a head_dim of 64 or 128");
  refuse_if(config.num_heads / config.num_kv_heads > 16, "needs at most 16 query heads a KV head");
  refuse_if(options.tokens_per_block % 16 != 0, "needs --tokens_per_block to be a multiple of 16");
}

void check_cuda_plugins(const BuildConfig& options, const ModelConfig& config,
                        const CheckpointFacts& facts, std::vector<std::string>& notices) {
  const PluginConfig& plugins = options.plugin_config;
  if (plugins.gemm_swiglu_plugin == "fp8")
    check_swiglu_plugin("--gemm_swiglu_plugin fp8", options, config, facts);
  if (plugins.low_latency_gemm_swiglu_plugin == "fp8") {
    check_swiglu_plugin("--low_latency_gemm_swiglu_plugin fp8", options, config, facts);
    if (config.num_experts > 0)
      refuse("--low_latency_gemm_swiglu_plugin fp8",
             "the model has no SwiGLU outside of its experts, whose kernels for few tokens come "
             "with --gemm_swiglu_plugin fp8");
  }
  if (plugins.norm_linear_fusion && plugins.low_latency_gemm_plugin != "fp8" &&
      plugins.low_latency_gemm_swiglu_plugin != "fp8") {
    notices.push_back(
        "--norm_linear_fusion has no effect without --low_latency_gemm_plugin fp8 or "
        "--low_latency_gemm_swiglu_plugin fp8, whose kernels it extends");
  }
  if (!plugins.use_paged_context_fmha) {
    notices.push_back(
        "--use_paged_context_fmha disable has no effect: context attention reads the paged cache");
  }
}

}  // namespace

std::vector<std::string> check_build_options(const BuildConfig& options, const ModelConfig& config,
                                             const CheckpointFacts& facts) {
  check_values(options);
  check_lengths(options, config);
  check_capability(facts, options);
  check_plugins(options.plugin_config, facts);
  check_kv_cache(options, config, facts);
  check_parallelism(options, config, facts);
  std::vector<std::string> notices;
  const PluginConfig& plugins = options.plugin_config;
  if (plugins.reduce_fusion && options.tp_size == 1)
    notices.push_back("--reduce_fusion has no effect at TP 1");
  if (options.tp_size > 1 && config.vocab_size % options.tp_size != 0) {
    notices.push_back(fmt::format(
        "--tp_size {} does not divide the vocabulary of {}: every rank holds the whole embedding "
        "and lm_head",
        options.tp_size, config.vocab_size));
  }
  const bool gpu_plugin = plugins.gemm_swiglu_plugin == "fp8" ||
                          plugins.low_latency_gemm_plugin == "fp8" ||
                          plugins.low_latency_gemm_swiglu_plugin == "fp8" ||
                          plugins.gemm_plugin == "fp8" || plugins.gemm_plugin == "bfloat16";
  if (resolved_device(options) == DeviceType::kCpu) {
    add_cpu_notices(plugins, gpu_plugin, notices);
    if (plugins.norm_linear_fusion)
      notices.push_back("the CPU backend runs the unfused meaning of --norm_linear_fusion");
    if (plugins.reduce_fusion && options.tp_size > 1) {
      notices.push_back(fmt::format("the CPU backend runs the unfused meaning of --reduce_fusion{}",
                                    plugins.user_buffer ? " and --user_buffer" : ""));
    }
  } else {
    check_swiglu_scales(plugins, facts);
    check_cuda_plugins(options, config, facts, notices);
    check_fp8_attention(options, config, facts);
  }
  if (config.dtype == DType::kF16 && options.dtype == "auto") {
    notices.push_back("float16 weights run as bfloat16");
  }
  return notices;
}

DeviceType resolved_device(const BuildConfig& options) {
  if (options.device == "cuda") return DeviceType::kCuda;
  if (options.device != "auto" && options.device != "cpu") {
    throw Error(ErrorCategory::kUsage, fmt::format("--device: expected auto|cpu|cuda, got \"{}\"",
                                                   printable(options.device)));
  }
  return DeviceType::kCpu;
}

DType activation_dtype(const BuildConfig& options, const ModelConfig& config) {
  if (options.dtype == "float32") return DType::kF32;
  if (options.dtype == "bfloat16") return DType::kBF16;
  return config.dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
}

int64_t resolved_max_seq_len(const BuildConfig& options, const ModelConfig& config) {
  return options.max_seq_len.value_or(config.max_position);
}

}  // namespace octavo

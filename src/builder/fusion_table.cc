// The table of fusions: one line each.
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "builder/fusion.h"

namespace octavo {
namespace {

bool always(const BuildConfig&) { return true; }
bool fused_mlp(const BuildConfig& options) { return options.plugin_config.use_fused_mlp; }
bool norm_quant(const BuildConfig& options) { return options.plugin_config.norm_quant_fusion; }

// The CPU runs the unfused meaning of either plugin.
bool gemm_swiglu(const BuildConfig& options) {
  const PluginConfig& plugins = options.plugin_config;
  return (plugins.gemm_swiglu_plugin == "fp8" || plugins.low_latency_gemm_swiglu_plugin == "fp8") &&
         resolved_device(options) == DeviceType::kCuda;
}
// The CPU runs the unfused meaning of the next two.
bool rope_attention(const BuildConfig& options) {
  return options.plugin_config.rope_attention_fusion &&
         resolved_device(options) == DeviceType::kCuda;
}
bool norm_linear(const BuildConfig& options) {
  return options.plugin_config.norm_linear_fusion && resolved_device(options) == DeviceType::kCuda;
}
bool reduce(const BuildConfig& options) { return options.plugin_config.reduce_fusion; }
bool user_buffer(const BuildConfig& options) {
  return options.plugin_config.reduce_fusion && options.plugin_config.user_buffer;
}

constexpr std::array kFusions = {
    Fusion{"qkv", always, fuse_qkv},
    Fusion{"gate_up", fused_mlp, fuse_gate_up},
    Fusion{"rope_kv_append", always, fuse_rope_kv_append},
    Fusion{"add_rms_norm", always, fuse_add_rms_norm},
    Fusion{"reduce_norm", reduce, fuse_reduce_norm},
    Fusion{"user_buffers", user_buffer, fuse_user_buffers},
    Fusion{"quantize", norm_quant, fuse_quantize},
    Fusion{"grouped_swiglu", norm_quant, fuse_grouped_swiglu},
    Fusion{"linear_swiglu", gemm_swiglu, fuse_linear_swiglu, Competition::kCalls},
    Fusion{"shard_residual", reduce, fuse_shard_residual, Competition::kBetweenRanks},
    Fusion{"rope_attention", rope_attention, fuse_rope_attention, Competition::kKernels},
    Fusion{"norm_linear", norm_linear, fuse_norm_linear, Competition::kKernels},
    Fusion{"norm_linear_swiglu", norm_linear, fuse_norm_linear_swiglu, Competition::kKernels},
};

}  // namespace

std::span<const Fusion> fusion_table() { return kFusions; }

}  // namespace octavo

# From the option classes of Python to the structures of the C++ API.
# SPDX-License-Identifier: Apache-2.0
"""Everything is checked by now; what is left is renaming, and defaults that None stands for."""

from __future__ import annotations

import copy
from typing import Any, Optional

from . import _octavo
from .configs import BuildConfig, CalibConfig, KvCacheConfig, PluginConfig, QuantAlgo, QuantConfig
from .errors import UsageError
from .sampling_params import SamplingParams

_DEFAULT_MAX_INPUT_LEN = 1024
_DEFAULT_TOKENS_PER_BLOCK = 32


def plugin_config(config: PluginConfig) -> _octavo.PluginConfig:
    native = _octavo.PluginConfig()
    native.gemm_plugin = config.gemm_plugin or "auto"
    native.gemm_swiglu_plugin = config.gemm_swiglu_plugin or "disable"
    native.low_latency_gemm_plugin = config.low_latency_gemm_plugin or "disable"
    native.low_latency_gemm_swiglu_plugin = config.low_latency_gemm_swiglu_plugin or "disable"
    for flag in ("reduce_fusion", "user_buffer", "use_paged_context_fmha", "use_fp8_context_fmha",
                 "multiple_profiles", "use_fused_mlp", "norm_quant_fusion", "rope_attention_fusion",
                 "norm_linear_fusion"):
        setattr(native, flag, getattr(config, flag))
    return native


def build_config(config: BuildConfig, cache: KvCacheConfig, device: str, deterministic: bool) -> Any:
    native = _octavo.BuildConfig()
    native.device = device
    native.deterministic = deterministic
    native.kv_cache_dtype = cache.dtype
    native.max_batch_size = config.max_batch_size
    native.max_num_tokens = config.max_num_tokens
    native.max_seq_len = config.max_seq_len
    if config.max_input_len != _DEFAULT_MAX_INPUT_LEN:
        native.max_input_len = config.max_input_len
    native.tokens_per_block = _tokens_per_block(config.plugin_config.tokens_per_block, cache.tokens_per_block)
    native.plugin_config = plugin_config(config.plugin_config)
    return native


def _tokens_per_block(plugin: int, cache: Optional[int]) -> int:
    if cache is None or cache == plugin:
        return plugin
    if plugin != _DEFAULT_TOKENS_PER_BLOCK:
        raise UsageError(f"KvCacheConfig.tokens_per_block: {cache} here, {plugin} in plugin_config",
                         "KvCacheConfig.tokens_per_block")
    return cache


def kv_cache_config(config: KvCacheConfig) -> _octavo.KvCacheConfig:
    native = _octavo.KvCacheConfig()
    native.enable_block_reuse = config.enable_block_reuse
    native.max_tokens = config.max_tokens or 0
    if config.free_gpu_memory_fraction is not None:
        native.free_gpu_memory_fraction = config.free_gpu_memory_fraction
    return native


def _algo(algo: Optional[QuantAlgo], field: str) -> Any:
    return None if algo is None else _octavo.parse_quant_algo(algo.value, field)


def quant_config(config: QuantConfig) -> _octavo.QuantConfig:
    native = _octavo.QuantConfig()
    native.quant_algo = _algo(config.quant_algo, "QuantConfig.quant_algo")
    native.kv_cache_quant_algo = _algo(config.kv_cache_quant_algo, "QuantConfig.kv_cache_quant_algo")
    native.exclude_modules = config.exclude_modules or []
    native.clamp_val = None if config.clamp_val is None else (config.clamp_val[0], config.clamp_val[1])
    native.use_meta_recipe = config.use_meta_recipe
    native.max_ppl_increase = config.max_ppl_increase
    return native


def calib_config(config: CalibConfig) -> _octavo.CalibConfig:
    native = _octavo.CalibConfig()
    for name, value in config.to_dict().items():
        setattr(native, name, "" if value is None else value)
    return native


def sampling_params(params: SamplingParams) -> _octavo.SamplingParams:
    native = _octavo.SamplingParams()
    for name in ("max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "repetition_penalty",
                 "presence_penalty", "frequency_penalty", "include_stop_str_in_output", "ignore_eos", "logprobs",
                 "skip_special_tokens", "add_special_tokens"):
        setattr(native, name, getattr(params, name))
    native.min_tokens = params.min_tokens or 0
    native.stop = params.stop or []
    stop_token_ids = copy.copy(params.stop_token_ids or [])
    if params.end_id is not None and not params.ignore_eos:
        stop_token_ids.append(params.end_id)
        native.ignore_eos = True  # of the model's own end ids
    native.stop_token_ids = stop_token_ids
    return native

# QuantConfig, CalibConfig, BuildConfig, PluginConfig, KvCacheConfig, SchedulerConfig.
# SPDX-License-Identifier: Apache-2.0
"""Options by TensorRT-LLM's field names. Fields that Octavo has nothing for exist with their defaults;
another value is refused, or accepted with a warning where it could only change speed."""

from __future__ import annotations

import enum
from typing import Any, Optional

from . import _octavo
from ._fields import (Config, Field, boolean, choice, ends, hint, integer, nested, number, only, path, short, texts,
                      wrong_type)


class QuantAlgo(str, enum.Enum):
    """Quantization algorithms. Which of them this version runs, the error of another one lists."""

    W8A16 = "W8A16"
    W4A16 = "W4A16"
    W4A16_AWQ = "W4A16_AWQ"
    W4A8_AWQ = "W4A8_AWQ"
    W8A16_GPTQ = "W8A16_GPTQ"
    W4A16_GPTQ = "W4A16_GPTQ"
    W8A8_SQ_PER_CHANNEL = "W8A8_SQ_PER_CHANNEL"
    W8A8_SQ_PER_TENSOR_PLUGIN = "W8A8_SQ_PER_TENSOR_PLUGIN"
    W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN = "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN"
    W8A8_SQ_PER_CHANNEL_PER_TENSOR_PLUGIN = "W8A8_SQ_PER_CHANNEL_PER_TENSOR_PLUGIN"
    W8A8_SQ_PER_TENSOR_PER_TOKEN_PLUGIN = "W8A8_SQ_PER_TENSOR_PER_TOKEN_PLUGIN"
    W4A8_QSERVE_PER_GROUP = "W4A8_QSERVE_PER_GROUP"
    W4A8_QSERVE_PER_CHANNEL = "W4A8_QSERVE_PER_CHANNEL"
    FP8 = "FP8"
    FP8_PER_CHANNEL_PER_TOKEN = "FP8_PER_CHANNEL_PER_TOKEN"
    FP8_BLOCK_SCALES = "FP8_BLOCK_SCALES"
    INT8 = "INT8"
    MIXED_PRECISION = "MIXED_PRECISION"
    NVFP4 = "NVFP4"
    NO_QUANT = "NO_QUANT"
    W4A8_NVFP4_FP8 = "W4A8_NVFP4_FP8"
    W4A8_MXFP4_FP8 = "W4A8_MXFP4_FP8"
    W4A8_MXFP4_MXFP8 = "W4A8_MXFP4_MXFP8"
    W4A16_MXFP4 = "W4A16_MXFP4"


def _check_algo(name: str, value: Any) -> Optional[QuantAlgo]:
    if value is None or isinstance(value, QuantAlgo):
        return value
    if not isinstance(value, str):
        raise wrong_type(name, "QuantAlgo", value)
    try:
        return QuantAlgo(value.upper())
    except ValueError:
        _octavo.parse_quant_algo(short(value), name)  # refuses it with the list of those that it runs
        raise


def _algo() -> Any:
    return Field(None, _check_algo)


class QuantConfig(Config):
    """How a 16-bit checkpoint is quantized before it is built. Both algorithms None: it is not.

    quant_algo: of the linears. kv_cache_quant_algo: None or FP8, with calibrated K and V scales.
    exclude_modules: names of modules that stay in 16 bit, with ``*`` and ``?``; one without them also
    covers the modules below it.
    clamp_val, use_meta_recipe: of FP8_PER_CHANNEL_PER_TOKEN. The lower and the upper end that inputs are
    brought between; Meta's recipe, which leaves attention and the first and last layer in 16 bit.
    max_ppl_increase (Octavo's own): by which share perplexity on held-out text may rise over the 16-bit
    model's, 0.01 is 1 %. The most sensitive layers stay in 16 bit until it holds; GateFailedError where it
    never does. The text is CalibConfig.quality_dataset.
    """

    quant_algo: Optional[QuantAlgo] = _algo()
    kv_cache_quant_algo: Optional[QuantAlgo] = _algo()
    group_size: int = hint(128)
    smoothquant_val: float = hint(0.5)
    clamp_val: Optional[list[float]] = ends()
    use_meta_recipe: bool = boolean(False)
    has_zero_point: bool = only(False)
    pre_quant_scale: bool = only(False)
    exclude_modules: Optional[list[str]] = texts()
    max_ppl_increase: Optional[float] = number(None, 0.0, 1e6)


class CalibConfig(Config):
    """The texts that scales are taken from.

    device: "cuda" or "cpu"; "cuda" means the device that the model runs on. calib_dataset: a file (JSON
    lines with ``text``, or plain text); "cnn_dailymail" downloads nothing: the model samples its own
    texts. calib_batches × calib_batch_size samples of at most calib_max_seq_length tokens.
    Octavo's own, of QuantConfig.max_ppl_increase: quality_dataset, a file of held-out text; None: what
    calib_dataset has behind the samples. quality_tokens of it in windows of quality_context tokens.
    """

    device: str = choice("cuda", "cuda", "cpu")
    calib_dataset: str = path("cnn_dailymail")
    calib_batches: int = integer(512, 1, 2**24)
    calib_batch_size: int = integer(1, 1, 4096)
    calib_max_seq_length: int = integer(512, 1, 2**24)
    random_seed: int = integer(1234)
    tokenizer_max_seq_length: int = integer(2048, 1, 2**24)
    quality_dataset: Optional[str] = path(None)
    quality_tokens: int = integer(8192, 1, 2**31 - 1)
    quality_context: int = integer(512, 1, 2**31 - 1)


class PluginConfig(Config):
    """TensorRT-LLM's plugin flags. On the CPU a flag runs its unfused meaning, with one notice.
    rope_attention_fusion is Octavo's own: RoPE, KV append and decode attention in one kernel where that
    is faster. So is norm_linear_fusion: norms inside the FP8 linears of few tokens behind them.

    Defaults that differ from TensorRT-LLM's: use_fp8_context_fmha False, multiple_profiles True,
    norm_quant_fusion True. gemm_plugin None is "auto": cuBLASLt is a candidate; "disable": never.
    """

    dtype: str = hint("auto")
    bert_attention_plugin: Optional[str] = hint("auto")
    gpt_attention_plugin: Optional[str] = hint("auto")
    gemm_plugin: Optional[str] = choice(None, "auto", "fp8", "bfloat16", "disable")
    gemm_swiglu_plugin: Optional[str] = choice(None, "fp8", "disable")
    fp8_rowwise_gemm_plugin: Optional[str] = hint(None)
    qserve_gemm_plugin: Optional[str] = only(None)
    identity_plugin: Optional[str] = only(None)
    nccl_plugin: Optional[str] = hint("auto")
    lora_plugin: Optional[str] = only(None)
    dora_plugin: bool = only(False)
    weight_only_groupwise_quant_matmul_plugin: Optional[str] = hint(None)
    weight_only_quant_matmul_plugin: Optional[str] = hint(None)
    smooth_quant_plugins: bool = hint(True)
    smooth_quant_gemm_plugin: Optional[str] = only(None)
    layernorm_quantization_plugin: Optional[str] = only(None)
    rmsnorm_quantization_plugin: Optional[str] = only(None)
    quantize_per_token_plugin: bool = only(False)
    quantize_tensor_plugin: bool = only(False)
    moe_plugin: Optional[str] = hint("auto")
    mamba_conv1d_plugin: Optional[str] = hint("auto")
    low_latency_gemm_plugin: Optional[str] = choice(None, "fp8", "disable")
    low_latency_gemm_swiglu_plugin: Optional[str] = choice(None, "fp8", "disable")
    gemm_allreduce_plugin: Optional[str] = only(None)
    context_fmha: bool = only(True)
    bert_context_fmha_fp32_acc: bool = only(False)
    paged_kv_cache: Optional[bool] = only(None, True)
    remove_input_padding: bool = only(True)
    norm_quant_fusion: bool = boolean(True)
    reduce_fusion: bool = boolean(False)
    user_buffer: bool = boolean(False)
    tokens_per_block: int = integer(32, 1, 1024)
    use_paged_context_fmha: bool = boolean(True)
    use_fp8_context_fmha: bool = boolean(False)
    fuse_fp4_quant: bool = only(False)
    multiple_profiles: bool = boolean(True)
    paged_state: bool = only(True)
    streamingllm: bool = only(False)
    manage_weights: bool = only(False)
    use_fused_mlp: bool = boolean(True)
    rope_attention_fusion: bool = boolean(True)
    norm_linear_fusion: bool = boolean(False)
    pp_reduce_scatter: bool = only(False)


class BuildConfig(Config):
    """Limits and flags that an engine is built with.

    max_batch_size: sequences of a step. max_num_tokens: tokens of a step. max_seq_len: tokens of prompt
    and output together; None: the model's. max_input_len: tokens of a prompt; 1024 stands for
    max_seq_len, as padding removal makes it in TensorRT-LLM.
    """

    max_input_len: int = integer(1024, 1, 2**31 - 1)
    max_seq_len: Optional[int] = integer(None, 1, 2**31 - 1)
    opt_batch_size: int = hint(8)
    max_batch_size: int = integer(2048, 1, 1 << 16)
    max_beam_width: int = only(1)
    max_num_tokens: int = integer(8192, 1, 1 << 20)
    opt_num_tokens: Optional[int] = hint(None)
    max_prompt_embedding_table_size: int = only(0)
    kv_cache_type: Optional[str] = choice(None, "PAGED")
    gather_context_logits: bool = only(False)
    gather_generation_logits: bool = only(False)
    strongly_typed: bool = only(True)
    force_num_profiles: Optional[int] = hint(None)
    profiling_verbosity: str = hint("layer_names_only")
    enable_debug_output: bool = only(False)
    max_draft_len: int = only(0)
    speculative_decoding_mode: Optional[str] = only(None, "NONE")
    use_refit: bool = only(False)
    input_timing_cache: Optional[str] = hint(None)
    output_timing_cache: Optional[str] = hint("model.cache")
    lora_config: Any = only(None)
    auto_parallel_config: Any = only(None)
    weight_sparsity: bool = only(False)
    weight_streaming: bool = only(False)
    plugin_config: PluginConfig = nested(PluginConfig)
    use_strip_plan: bool = only(False)
    max_encoder_input_len: int = hint(1024)
    dry_run: bool = only(False)
    visualize_network: Optional[str] = only(None)
    monitor_memory: bool = only(False)
    use_mrope: bool = only(False)


class KvCacheConfig(Config):
    """The paged KV cache.

    max_tokens: of the pool; None: what free_gpu_memory_fraction allows (of the memory that is free after
    loading, on the CPU too). dtype "fp8" needs calibrated K and V scales. tokens_per_block None: the
    plugin flag's 32.
    """

    enable_block_reuse: bool = boolean(True)
    max_tokens: Optional[int] = integer(None, 1, 2**31 - 1)
    max_attention_window: Optional[list[int]] = only(None)
    sink_token_length: Optional[int] = only(None)
    free_gpu_memory_fraction: Optional[float] = number(None, 0.001, 0.999)
    host_cache_size: Optional[int] = only(None, 0)
    onboard_blocks: bool = only(True)
    cross_kv_cache_fraction: Optional[float] = only(None)
    secondary_offload_min_priority: Optional[int] = only(None)
    event_buffer_max_size: int = only(0)
    enable_partial_reuse: bool = hint(True)
    copy_on_partial_reuse: bool = hint(True)
    dtype: str = choice("auto", "auto", "fp8", "bfloat16")
    tokens_per_block: Optional[int] = integer(None, 1, 1024)
    use_uvm: bool = only(False)


class SchedulerConfig(Config):
    """Which requests run together: GUARANTEED_NO_EVICT or MAX_UTILIZATION."""

    capacity_scheduler_policy: str = choice("GUARANTEED_NO_EVICT", "GUARANTEED_NO_EVICT", "MAX_UTILIZATION")
    context_chunking_policy: Optional[str] = choice(None, "FIRST_COME_FIRST_SERVED")
    dynamic_batch_config: Any = only(None)

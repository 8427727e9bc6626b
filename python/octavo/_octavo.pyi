# Types of the extension module.
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Optional

class PluginConfig:
    gemm_plugin: str
    gemm_swiglu_plugin: str
    low_latency_gemm_plugin: str
    low_latency_gemm_swiglu_plugin: str
    reduce_fusion: bool
    user_buffer: bool
    use_paged_context_fmha: bool
    use_fp8_context_fmha: bool
    multiple_profiles: bool
    use_fused_mlp: bool
    norm_quant_fusion: bool
    rope_attention_fusion: bool
    norm_linear_fusion: bool

class BuildConfig:
    device: str
    dtype: str
    kv_cache_dtype: str
    max_batch_size: int
    max_num_tokens: int
    max_seq_len: Optional[int]
    max_input_len: Optional[int]
    tokens_per_block: int
    deterministic: bool
    plugin_config: PluginConfig

class KvCacheConfig:
    enable_block_reuse: bool
    max_tokens: int
    free_gpu_memory_fraction: float

class QuantAlgo: ...

class QuantConfig:
    quant_algo: Optional[QuantAlgo]
    kv_cache_quant_algo: Optional[QuantAlgo]
    exclude_modules: list[str]
    clamp_val: Optional[tuple[float, float]]
    use_meta_recipe: bool
    max_ppl_increase: Optional[float]

class CalibConfig:
    device: str
    calib_dataset: str
    calib_batches: int
    calib_batch_size: int
    calib_max_seq_length: int
    random_seed: int
    tokenizer_max_seq_length: int
    quality_dataset: str
    quality_tokens: int
    quality_context: int

class SamplingParams:
    max_tokens: int
    min_tokens: int
    temperature: Optional[float]
    top_p: Optional[float]
    top_k: Optional[int]
    min_p: Optional[float]
    seed: Optional[int]
    repetition_penalty: Optional[float]
    presence_penalty: Optional[float]
    frequency_penalty: Optional[float]
    stop: list[str]
    stop_token_ids: list[int]
    include_stop_str_in_output: bool
    ignore_eos: bool
    logprobs: Optional[int]
    skip_special_tokens: bool
    add_special_tokens: bool

class PromptInput:
    prompt: str
    prompt_token_ids: list[int]
    sampling: SamplingParams

class LLMArgs:
    model: str
    tensor_parallel_size: int
    pipeline_parallel_size: int
    dtype: str
    load_format: str
    build_config: BuildConfig
    quant_config: QuantConfig
    calib_config: CalibConfig
    kv_cache_config: KvCacheConfig
    capacity_scheduler_policy: str
    max_batch_size: int
    max_num_tokens: int
    workspace: str
    threads: int

class Notifier:
    def fileno(self) -> int: ...
    def clear(self) -> None: ...

class PendingCompletion:
    def wait(self, ms: int) -> bool: ...
    def wait_end(self, ms: int) -> bool: ...
    def ended(self) -> bool: ...
    def has_piece(self) -> bool: ...
    def try_next(self) -> Optional[tuple[str, list[int], list[tuple[int, float, list[tuple[int, float]]]]]]: ...
    def ending(self) -> tuple[str, str, list[int]]: ...
    def cancel(self) -> None: ...
    def subscribe(self, notifier: Notifier) -> None: ...

class NativeLLM:
    def __init__(self, args: LLMArgs, show_progress: bool) -> None: ...
    def generate_async(self, inputs: list[PromptInput], streaming: bool) -> list[PendingCompletion]: ...
    def save(self, engine_dir: str, overwrite: bool, show_progress: bool) -> None: ...
    def shutdown(self) -> None: ...

def parse_quant_algo(name: str, field: str) -> QuantAlgo: ...
def set_error_factory(factory: Callable[[str, str, str, str], Exception]) -> None: ...

# LLM: a model that generates text, from a checkpoint or an engine directory.
# SPDX-License-Identifier: Apache-2.0
"""The LLM class with TensorRT-LLM's arguments."""

from __future__ import annotations

import copy
import itertools
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from . import _native, _octavo
from ._fields import (Config, boolean, check_bool, check_path, check_text, choice, hint, integer, nested,
                      only, path, short, unknown, wrong_type)
from .configs import BuildConfig, CalibConfig, KvCacheConfig, QuantConfig, SchedulerConfig
from .errors import UnsupportedError, UsageError
from .outputs import RequestOutput
from .sampling_params import SamplingParams

Prompt = Union[str, Sequence[int], Mapping[str, Any]]
_MAX_ID = 2**31 - 1
_NOT_HERE = ("lora_request", "prompt_adapter_request", "queries", "kv_cache_retention_config",
             "disaggregated_params")


class LLMArgs(Config):
    """The arguments of :class:`LLM`. The last four are Octavo's own."""

    model: str = path(None)
    tokenizer: Optional[str] = only(None)
    tokenizer_mode: str = only("auto")
    skip_tokenizer_init: bool = only(False)
    trust_remote_code: bool = hint(False)
    tensor_parallel_size: int = integer(1, 1, 64)
    dtype: str = choice("auto", "auto", "float32", "bfloat16")
    revision: Optional[str] = only(None)
    tokenizer_revision: Optional[str] = only(None)
    pipeline_parallel_size: int = integer(1, 1, 64)
    context_parallel_size: int = only(1)
    gpus_per_node: Optional[int] = hint(None)
    moe_cluster_parallel_size: Optional[int] = only(None)
    moe_tensor_parallel_size: Optional[int] = only(None)
    moe_expert_parallel_size: Optional[int] = only(None)
    enable_attention_dp: bool = only(False)
    load_format: str = choice("auto", "auto", "dummy")
    enable_lora: bool = only(False)
    lora_config: Any = only(None)
    enable_prompt_adapter: bool = only(False)
    quant_config: QuantConfig = nested(QuantConfig)
    calib_config: CalibConfig = nested(CalibConfig)
    build_config: BuildConfig = nested(BuildConfig)
    kv_cache_config: KvCacheConfig = nested(KvCacheConfig)
    enable_chunked_prefill: bool = hint(False)
    guided_decoding_backend: Optional[str] = only(None)
    batched_logits_processor: Any = only(None)
    iter_stats_max_iterations: Optional[int] = hint(None)
    request_stats_max_iterations: Optional[int] = hint(None)
    peft_cache_config: Any = only(None)
    scheduler_config: SchedulerConfig = nested(SchedulerConfig)
    cache_transceiver_config: Any = only(None)
    speculative_config: Any = only(None)
    batching_type: Optional[str] = choice(None, "INFLIGHT")
    normalize_log_probs: bool = only(False)
    gather_generation_logits: bool = only(False)
    max_batch_size: Optional[int] = integer(None, 1, 1 << 16)
    max_input_len: Optional[int] = integer(None, 1, _MAX_ID)
    max_seq_len: Optional[int] = integer(None, 1, _MAX_ID)
    max_beam_width: Optional[int] = only(None, 1)
    max_num_tokens: Optional[int] = integer(None, 1, 1 << 20)
    num_postprocess_workers: int = hint(0)
    backend: Optional[str] = only(None)
    enable_tqdm: bool = boolean(False)
    workspace: Optional[str] = path(None)
    enable_build_cache: bool = hint(False)
    extended_runtime_perf_knob_config: Any = only(None)
    embedding_parallel_mode: str = hint("SHARDING_ALONG_VOCAB")
    fast_build: bool = hint(False)
    device: str = choice("auto", "auto", "cpu", "cuda")
    deterministic: bool = boolean(False)
    threads: int = integer(0, 0, 4096)
    overwrite: bool = boolean(False)


class LLM:
    """A model that generates text; a context manager.

    model: a folder: a 16-bit Hugging Face checkpoint, a quantized one, or an engine. A checkpoint is built
    in memory, after it is calibrated and quantized where quant_config asks for that. All other arguments
    are the fields of :class:`LLMArgs`. threads: of the CPU; 0: all. overwrite: whether save() replaces an
    engine.

    Raises UsageError, FieldTypeError or UnknownFieldError for arguments, UnsupportedError for what Octavo
    does not do, BadFileError for files, OutOfMemoryError, DeviceError, EnvironmentFailure. While it runs
    the interpreter lock is free, and Ctrl-C raises KeyboardInterrupt.
    """

    def __init__(self, model: Union[str, os.PathLike[str]], tokenizer: Optional[str] = None,
                 tokenizer_mode: str = "auto", skip_tokenizer_init: bool = False, trust_remote_code: bool = False,
                 tensor_parallel_size: int = 1, dtype: str = "auto", revision: Optional[str] = None,
                 tokenizer_revision: Optional[str] = None, **kwargs: Any) -> None:
        self.args = LLMArgs(tokenizer=tokenizer, tokenizer_mode=tokenizer_mode,
                            skip_tokenizer_init=skip_tokenizer_init, trust_remote_code=trust_remote_code,
                            tensor_parallel_size=tensor_parallel_size, dtype=dtype, revision=revision,
                            tokenizer_revision=tokenizer_revision, **_without_none(kwargs))
        self.args.model = check_path("LLM.model", model)
        self._native = _octavo.NativeLLM(_native_args(self.args), self.args.enable_tqdm)
        self._ids = itertools.count()
        self._finalizer = weakref.finalize(self, self._native.shutdown)

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Ends what is running with finish_reason "abort" and frees the model. It may be called twice."""
        self._finalizer()

    def generate(self, inputs: Union[Prompt, Sequence[Prompt]],
                 sampling_params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
                 use_tqdm: bool = True, **kwargs: Any) -> Union[RequestOutput, list[RequestOutput]]:
        """Completes one prompt or a list of them, in order.

        inputs: a text, a list of token ids, a dictionary with "prompt" or "prompt_token_ids", or a list of
        these. sampling_params: of all, or a list, one a prompt. Returns a RequestOutput, or a list. All
        inputs run or, where one can never run, none. use_tqdm is accepted; there is no bar."""
        check_bool("generate.use_tqdm", use_tqdm)
        _refuse_others("generate", kwargs)
        single = not _is_list_of_prompts(inputs)
        prompts = [inputs] if single else list(inputs)  # type: ignore[arg-type]
        outputs = self._submit("generate", prompts, sampling_params, streaming=False)
        try:
            for output in outputs:
                output.result()
        except BaseException:
            for output in outputs:
                output.abort()
            raise
        return outputs[0] if single else outputs

    def generate_async(self, inputs: Prompt, sampling_params: Optional[SamplingParams] = None,
                       streaming: bool = False, **kwargs: Any) -> RequestOutput:
        """Starts one prompt and returns at once. With streaming the result yields a piece a step or more
        seldom, where the caller is slower; without, one at the end."""
        check_bool("generate_async.streaming", streaming)
        _refuse_others("generate_async", kwargs)
        if _is_list_of_prompts(inputs):
            raise wrong_type("generate_async.inputs", "one prompt", inputs)
        return self._submit("generate_async", [inputs], sampling_params, streaming)[0]

    def save(self, engine_dir: Union[str, os.PathLike[str]]) -> None:
        """Writes the engine to a folder, which appears complete or not at all. A folder that exists and is
        not empty is refused, unless LLM was given overwrite=True and the folder holds an engine."""
        self._native.save(check_path("save.engine_dir", engine_dir), self.args.overwrite, self.args.enable_tqdm)

    def _submit(self, function: str, prompts: list[Any], sampling: Any, streaming: bool) -> list[RequestOutput]:
        parameters = _sampling_list(function, sampling, len(prompts))
        native = [_prompt_input(f"{function}.inputs[{i}]", prompt, one)
                  for i, (prompt, one) in enumerate(zip(prompts, parameters))]
        started = self._native.generate_async(native, streaming)
        return [RequestOutput(pending, next(self._ids), asked.prompt or None, asked.prompt_token_ids, self)
                for pending, asked in zip(started, native)]


def _without_none(kwargs: dict[str, Any]) -> dict[str, Any]:
    """quant_config=None and the like mean the default, as in TensorRT-LLM."""
    optional = ("quant_config", "calib_config", "build_config", "kv_cache_config", "scheduler_config")
    return {name: value for name, value in kwargs.items() if value is not None or name not in optional}


def _native_args(args: LLMArgs) -> _octavo.LLMArgs:
    native = _octavo.LLMArgs()
    native.model = args.model
    native.tensor_parallel_size = args.tensor_parallel_size
    native.pipeline_parallel_size = args.pipeline_parallel_size
    native.dtype = args.dtype
    native.load_format = args.load_format
    native.build_config = _native.build_config(_limited(args), args.kv_cache_config, args.device,
                                               args.deterministic)
    native.quant_config = _native.quant_config(args.quant_config)
    native.calib_config = _native.calib_config(args.calib_config)
    native.kv_cache_config = _native.kv_cache_config(args.kv_cache_config)
    native.capacity_scheduler_policy = args.scheduler_config.capacity_scheduler_policy.lower()
    native.max_batch_size = args.max_batch_size or 0
    native.max_num_tokens = args.max_num_tokens or 0
    native.workspace = args.workspace or ""
    native.threads = args.threads
    return native


def _limited(args: LLMArgs) -> BuildConfig:
    """The build's limits: LLM's own where build_config leaves them at their defaults."""
    config = copy.copy(args.build_config)
    default = BuildConfig()
    for name in ("max_batch_size", "max_num_tokens", "max_seq_len", "max_input_len"):
        asked, built = getattr(args, name), getattr(config, name)
        if asked is None or asked == built:
            continue
        if built == getattr(default, name):
            setattr(config, name, asked)
        elif name in ("max_seq_len", "max_input_len") or asked > built:
            raise UsageError(f"LLM.{name}: {asked} here, {built} in build_config", f"LLM.{name}")
    return config


def _is_list_of_prompts(inputs: Any) -> bool:
    if not isinstance(inputs, (list, tuple)):
        return False
    return not inputs or not (isinstance(inputs[0], int) and not isinstance(inputs[0], bool))


def _refuse_others(function: str, kwargs: dict[str, Any]) -> None:
    """Arguments of TensorRT-LLM's for what Octavo does not have may be given as None."""
    for name, value in kwargs.items():
        if name not in _NOT_HERE:
            raise unknown(function, name, _NOT_HERE)
        if value is not None:
            raise UnsupportedError(f"{function}.{name}: Octavo supports None, got {short(value)}", name)


def _sampling_list(function: str, sampling: Any, count: int) -> list[SamplingParams]:
    name = f"{function}.sampling_params"
    if sampling is None:
        sampling = SamplingParams()
    if isinstance(sampling, SamplingParams):
        return [sampling] * count
    if not isinstance(sampling, (list, tuple)):
        raise wrong_type(name, "SamplingParams or a list of them", sampling)
    if len(sampling) != count:
        raise UsageError(f"{name}: expected one for each of {count} prompts, got {len(sampling)}", name)
    for i, each in enumerate(sampling):
        if not isinstance(each, SamplingParams):
            raise wrong_type(f"{name}[{i}]", "SamplingParams", each)
    return list(sampling)


def _prompt_input(name: str, prompt: Any, sampling: SamplingParams) -> _octavo.PromptInput:
    native = _octavo.PromptInput()
    native.sampling = _native.sampling_params(sampling)
    if isinstance(prompt, Mapping):
        strange = [key for key in prompt if key not in ("prompt", "prompt_token_ids")]
        if strange or not prompt:
            raise UsageError(f"{name}: expected \"prompt\" or \"prompt_token_ids\", got {short(strange)}", name)
        prompt = prompt.get("prompt_token_ids") or prompt.get("prompt")
    if isinstance(prompt, str):
        native.prompt = check_text(name, prompt)
    elif isinstance(prompt, (list, tuple)):
        native.prompt_token_ids = _token_ids(name, prompt)
    else:
        raise wrong_type(name, "str or list of int", prompt)
    return native


def _token_ids(name: str, ids: Sequence[Any]) -> list[int]:
    if not ids:
        raise UsageError(f"{name}: expected at least one token id", name)
    for i, each in enumerate(ids):
        if isinstance(each, bool) or not isinstance(each, int):
            raise wrong_type(f"{name}[{i}]", "int", each)
        if not 0 <= each <= _MAX_ID:
            raise UsageError(f"{name}[{i}]: expected a token id, got {short(each)}", name)
    return list(ids)

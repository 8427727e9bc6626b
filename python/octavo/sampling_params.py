# SamplingParams: how one request's tokens are drawn and where it ends.
# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's SamplingParams."""

from __future__ import annotations

from typing import Any, Optional

from ._fields import Config, boolean, hint, integer, integers, number, only, texts

_I32 = 2**31 - 1
_F32 = 3.4e38


class SamplingParams(Config):
    """How one request's tokens are drawn. With none of temperature, top_p, top_k, min_p and seed set, the
    likeliest token is taken.

    max_tokens: to generate. temperature 0: greedy. top_k 0: all. stop: text (or a list) that ends the
    output. end_id: takes the place of the model's own end ids. logprobs: 0 gives the drawn token's natural
    log-probability, n also those of the n likeliest (at most 20).
    """

    end_id: Optional[int] = integer(None, 0, _I32)
    pad_id: Optional[int] = hint(None)
    max_tokens: int = integer(32, 1, _I32)
    bad: Any = only(None)
    bad_token_ids: Any = only(None)
    stop: Optional[list[str]] = texts(single=True)
    stop_token_ids: Optional[list[int]] = integers()
    include_stop_str_in_output: bool = boolean(False)
    embedding_bias: Any = only(None)
    logits_processor: Any = only(None)
    apply_batched_logits_processor: bool = only(False)
    n: int = only(1)
    best_of: Optional[int] = only(None, 1)
    use_beam_search: bool = only(False)
    top_k: Optional[int] = integer(None, 0, _I32)
    top_p: Optional[float] = number(None, 0, 1)
    top_p_min: Optional[float] = only(None)
    top_p_reset_ids: Any = only(None)
    top_p_decay: Optional[float] = only(None)
    seed: Optional[int] = integer(None, 0, 2**64 - 1)
    temperature: Optional[float] = number(None, 0, 2)
    min_tokens: Optional[int] = integer(None, 0, _I32)
    beam_search_diversity_rate: Optional[float] = only(None)
    repetition_penalty: Optional[float] = number(None, 0, _F32)
    presence_penalty: Optional[float] = number(None, -2, 2)
    frequency_penalty: Optional[float] = number(None, -2, 2)
    length_penalty: Optional[float] = only(None)
    early_stopping: Optional[int] = only(None)
    no_repeat_ngram_size: Optional[int] = only(None)
    min_p: Optional[float] = number(None, 0, 1)
    beam_width_array: Any = only(None)
    logprobs: Optional[int] = integer(None, 0, 20)
    prompt_logprobs: Optional[int] = only(None)
    return_context_logits: bool = only(False)
    return_generation_logits: bool = only(False)
    exclude_input_from_output: bool = only(True)
    return_encoder_output: bool = only(False)
    return_perf_metrics: bool = only(False)
    additional_model_outputs: Any = only(None)
    lookahead_config: Any = only(None)
    guided_decoding: Any = only(None)
    ignore_eos: bool = boolean(False)
    detokenize: bool = only(True)
    add_special_tokens: bool = boolean(True)
    truncate_prompt_tokens: Optional[int] = only(None)
    skip_special_tokens: bool = boolean(True)
    spaces_between_special_tokens: bool = only(True)

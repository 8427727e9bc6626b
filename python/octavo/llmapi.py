# The names under which TensorRT-LLM's llmapi offers them.
# SPDX-License-Identifier: Apache-2.0
"""``from octavo.llmapi import QuantConfig, QuantAlgo, CalibConfig``."""

from .configs import BuildConfig, CalibConfig, KvCacheConfig, PluginConfig, QuantAlgo, QuantConfig, SchedulerConfig
from .llm import LLM
from .outputs import CompletionOutput, RequestOutput
from .sampling_params import SamplingParams

__all__ = ["LLM", "BuildConfig", "CalibConfig", "CompletionOutput", "KvCacheConfig", "PluginConfig", "QuantAlgo",
           "QuantConfig", "RequestOutput", "SamplingParams", "SchedulerConfig"]

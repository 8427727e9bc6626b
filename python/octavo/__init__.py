# Octavo: calibrates, quantizes, builds and runs large language models in FP8.
# SPDX-License-Identifier: Apache-2.0
"""The LLM class and its options, by TensorRT-LLM's names.

    from octavo import LLM, SamplingParams
    with LLM("engine") as llm:
        print(llm.generate("The compiler", SamplingParams(max_tokens=16)).outputs[0].text)
"""

from . import _octavo
from .configs import BuildConfig, CalibConfig, KvCacheConfig, PluginConfig, QuantAlgo, QuantConfig, SchedulerConfig
from .errors import (BadFileError, DeviceError, EnvironmentFailure, Error, FieldTypeError, GateFailedError,
                     InternalError, OutOfMemoryError, UnknownFieldError, UnsupportedError, UsageError, make_error)
from .llm import LLM, LLMArgs
from .outputs import CompletionOutput, Logprob, RequestOutput
from .sampling_params import SamplingParams

_octavo.set_error_factory(make_error)

__version__ = "0.1.0"

__all__ = [
    "LLM", "LLMArgs", "BuildConfig", "CalibConfig", "KvCacheConfig", "PluginConfig", "QuantAlgo", "QuantConfig",
    "SchedulerConfig", "SamplingParams", "CompletionOutput", "Logprob", "RequestOutput", "Error", "UsageError",
    "FieldTypeError", "UnknownFieldError", "UnsupportedError", "BadFileError", "EnvironmentFailure",
    "OutOfMemoryError", "DeviceError", "GateFailedError", "InternalError",
]

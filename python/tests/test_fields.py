# Names, defaults, types and values of every option class.
# SPDX-License-Identifier: Apache-2.0
import math

import pytest

import octavo
from octavo import _native, _octavo

CLASSES = [octavo.QuantConfig, octavo.CalibConfig, octavo.BuildConfig, octavo.PluginConfig, octavo.KvCacheConfig,
           octavo.SchedulerConfig, octavo.SamplingParams, octavo.LLMArgs]

# TensorRT-LLM's, where Octavo's are the same.
DEFAULTS = {
    octavo.QuantConfig: {"quant_algo": None, "kv_cache_quant_algo": None, "group_size": 128,
                         "smoothquant_val": 0.5, "clamp_val": None, "exclude_modules": None},
    octavo.CalibConfig: {"device": "cuda", "calib_dataset": "cnn_dailymail", "calib_batches": 512,
                         "calib_batch_size": 1, "calib_max_seq_length": 512, "random_seed": 1234,
                         "tokenizer_max_seq_length": 2048},
    octavo.BuildConfig: {"max_input_len": 1024, "max_seq_len": None, "opt_batch_size": 8, "max_batch_size": 2048,
                         "max_beam_width": 1, "max_num_tokens": 8192, "strongly_typed": True},
    octavo.PluginConfig: {"gemm_plugin": None, "gemm_swiglu_plugin": None, "low_latency_gemm_plugin": None,
                          "reduce_fusion": False, "user_buffer": False, "tokens_per_block": 32,
                          "use_paged_context_fmha": True, "use_fused_mlp": True},
    octavo.KvCacheConfig: {"enable_block_reuse": True, "max_tokens": None, "free_gpu_memory_fraction": None},
    octavo.SamplingParams: {"max_tokens": 32, "n": 1, "top_k": None, "temperature": None, "ignore_eos": False,
                            "skip_special_tokens": True, "exclude_input_from_output": True},
}


@pytest.mark.parametrize("cls", DEFAULTS)
def test_defaults(cls):
    made = cls()
    assert {name: getattr(made, name) for name in DEFAULTS[cls]} == DEFAULTS[cls]


def test_plugin_defaults_are_those_of_cpp():
    """One behaviour in both languages: what Python's defaults become is what C++ starts from."""
    ours, theirs = _native.plugin_config(octavo.PluginConfig()), _octavo.PluginConfig()
    names = [n for n in dir(theirs) if not n.startswith("_")]
    assert len(names) == 13
    assert {n: getattr(ours, n) for n in names} == {n: getattr(theirs, n) for n in names}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_refuses_a_strange_object_by_name(cls):
    class Strange:
        def __repr__(self):
            raise RuntimeError("not even this")

    for name in cls._fields:
        for made in (lambda value: cls(**{name: value}), lambda value: setattr(cls(), name, value)):
            with pytest.raises(octavo.Error) as caught:
                made(Strange())
            assert name in str(caught.value)
            assert caught.value.field == f"{cls.__name__}.{name}"


@pytest.mark.parametrize("cls", CLASSES)
def test_unknown_fields_name_the_nearest(cls):
    name = next(iter(cls._fields))
    with pytest.raises(octavo.UnknownFieldError, match=f"did you mean {name}"):
        cls(**{name + "x": 1})
    with pytest.raises(AttributeError, match=f"did you mean {name}"):
        setattr(cls(), name + "x", 1)


@pytest.mark.parametrize("cls", CLASSES)
def test_dictionaries_there_and_back(cls):
    made = cls()
    if cls is not octavo.LLMArgs:
        assert cls.from_dict(made.to_dict()) == made
    with pytest.raises(octavo.UnknownFieldError):
        cls.from_dict({"nonsense": 1})
    with pytest.raises(octavo.FieldTypeError):
        cls.from_dict(3)


@pytest.mark.parametrize("make, error, words", [
    (lambda: octavo.BuildConfig(max_batch_size=0), octavo.UsageError, "max_batch_size: expected 1 to 65536, got 0"),
    (lambda: octavo.BuildConfig(max_batch_size=True), octavo.FieldTypeError, "expected int, got bool"),
    (lambda: octavo.BuildConfig(max_batch_size=2.0), octavo.FieldTypeError, "expected int, got float"),
    (lambda: octavo.BuildConfig(max_beam_width=4), octavo.UnsupportedError, "Octavo supports 1, got 4"),
    (lambda: octavo.BuildConfig(plugin_config={}), octavo.FieldTypeError, "expected PluginConfig, got dict"),
    (lambda: octavo.PluginConfig(gemm_swiglu_plugin="fp4"), octavo.UnsupportedError, "one of fp8, disable"),
    (lambda: octavo.PluginConfig(user_buffer=1), octavo.FieldTypeError, "user_buffer: expected bool"),
    (lambda: octavo.QuantConfig(quant_algo="FP9"), octavo.UnsupportedError,
     "quant_algo: expected one of NO_QUANT, FP8, FP8_PER_CHANNEL_PER_TOKEN, FP8_BLOCK_SCALES, W8A16, W4A16_AWQ"),
    (lambda: octavo.QuantConfig(clamp_val=3.0), octavo.FieldTypeError, "expected a list of float"),
    (lambda: octavo.QuantConfig(clamp_val=[1.0]), octavo.UsageError, "clamp_val: expected a lower and an upper end"),
    (lambda: octavo.QuantConfig(clamp_val=[2, 1]), octavo.UsageError, "clamp_val: expected a lower and an upper end"),
    (lambda: octavo.QuantConfig(clamp_val=[math.nan, 1]), octavo.UsageError, r"clamp_val\[0\]"),
    (lambda: octavo.QuantConfig(exclude_modules=["a", 3]), octavo.FieldTypeError, r"exclude_modules\[1\]"),
    (lambda: octavo.CalibConfig(calib_dataset="a\0b"), octavo.UsageError, "calib_dataset"),
    (lambda: octavo.QuantConfig(max_ppl_increase="1%"), octavo.FieldTypeError, "max_ppl_increase: expected float"),
    (lambda: octavo.QuantConfig(max_ppl_increase=-0.01), octavo.UsageError, "max_ppl_increase: expected 0 to"),
    (lambda: octavo.CalibConfig(quality_context=0), octavo.UsageError, "CalibConfig.quality_context: expected 1 to"),
    (lambda: octavo.SamplingParams(temperature=math.nan), octavo.UsageError, "temperature"),
    (lambda: octavo.SamplingParams(temperature=10**400), octavo.UsageError, "temperature"),
    (lambda: octavo.SamplingParams(seed=2**64), octavo.UsageError, "seed"),
    (lambda: octavo.SamplingParams(stop=["\ud800"]), octavo.UsageError, r"stop\[0\]: .*surrogate"),
    (lambda: octavo.SamplingParams(n=2), octavo.UnsupportedError, "n: Octavo supports 1"),
    (lambda: octavo.KvCacheConfig(free_gpu_memory_fraction=1.5), octavo.UsageError, "free_gpu_memory_fraction"),
])
def test_wrong_values(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_what_has_no_effect_says_so():
    with pytest.warns(UserWarning, match="opt_batch_size: accepted, but has no effect"):
        octavo.BuildConfig(opt_batch_size=16)


def test_options_are_not_shared():
    first, second = octavo.BuildConfig(), octavo.BuildConfig()
    first.plugin_config.reduce_fusion = True
    assert not second.plugin_config.reduce_fusion
    assert first != second


def test_errors_are_built_in_errors_too():
    assert issubclass(octavo.FieldTypeError, TypeError)
    assert issubclass(octavo.UsageError, ValueError)
    assert issubclass(octavo.EnvironmentFailure, OSError)
    assert issubclass(octavo.OutOfMemoryError, MemoryError)

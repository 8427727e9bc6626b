# The LLM class on the embedded model: results, streams, asyncio, cancellation, refusals, signals.
# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import POCKET, small_llm

import octavo
from octavo import SamplingParams


def greedy(max_tokens, **kwargs):
    return SamplingParams(max_tokens=max_tokens, ignore_eos=True, **kwargs)


def test_one_prompt_or_a_list(llm):
    one = llm.generate("The compiler", greedy(5))
    assert one.finished and one.prompt == "The compiler"
    assert len(one.outputs[0].token_ids) == 5 and one.outputs[0].finish_reason == "length"
    both = llm.generate(["The compiler", one.prompt_token_ids], [greedy(3), greedy(5)])
    assert both[0].outputs[0].token_ids == one.outputs[0].token_ids[:3]
    assert both[1].outputs[0].text == one.outputs[0].text
    assert llm.generate({"prompt": "The compiler"}, greedy(5)).outputs[0].text == one.outputs[0].text
    assert llm.generate([]) == []


def test_logprobs_are_natural_and_sorted(llm):
    output = llm.generate("A", greedy(2, logprobs=3)).outputs[0]
    assert [each.token_id for each in output.logprobs] == output.token_ids
    first = output.logprobs[0]
    assert first.top[0] == (first.token_id, first.logprob) and len(first.top) == 3
    assert output.cumulative_logprob == pytest.approx(sum(each.logprob for each in output.logprobs))


def test_end_id_takes_the_place_of_the_models(llm):
    ids = llm.generate("The", greedy(4)).outputs[0].token_ids
    ended = llm.generate("The", SamplingParams(max_tokens=9, end_id=ids[2])).outputs[0]
    assert ended.token_ids == ids[:ids.index(ids[2]) + 1] and ended.finish_reason == "stop"


def test_streams_add_up(llm):
    whole = llm.generate("The compiler", greedy(8)).outputs[0]
    stream = llm.generate_async("The compiler", greedy(8), streaming=True)
    text, ids = "", []
    for piece in stream:
        text += piece.outputs[0].text_diff
        ids += piece.outputs[0].token_ids_diff
    assert (text, ids) == (whole.text, whole.token_ids)
    assert stream.finished and stream.outputs[0].text == text


def test_asyncio_waits_for_many(llm):
    async def stream(tokens):
        pieces = 0
        async for output in llm.generate_async("The", greedy(tokens), streaming=True):
            pieces += 1
        assert pieces >= 1
        return output.outputs[0].token_ids

    async def all_of_them():
        awaited = asyncio.gather(*(llm.generate_async("The", greedy(n)) for n in (2, 3)))
        streamed = await asyncio.gather(*(stream(n) for n in (4, 6)))
        return [output.outputs[0].token_ids for output in await awaited] + streamed

    whole = llm.generate("The", greedy(6)).outputs[0].token_ids
    for _ in range(2):  # each with an event loop of its own
        assert asyncio.run(all_of_them()) == [whole[:n] for n in (2, 3, 4, 6)]


def test_abort_and_time_out(llm):
    pending = llm.generate_async("The", greedy(400))
    with pytest.raises(TimeoutError):
        pending.result(timeout=0.01)
    pending.abort()
    assert pending.result().outputs[0].finish_reason == "abort"
    assert len(pending.outputs[0].token_ids) < 400


def test_a_task_that_is_cancelled_leaves_the_others_alone(llm):
    async def run():
        long = llm.generate_async("The", greedy(300), streaming=True)
        task = asyncio.create_task(long.aresult())
        short = await llm.generate_async("The", greedy(2))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        long.abort()
        return short

    assert len(asyncio.run(run()).outputs[0].token_ids) == 2


def test_the_interpreter_runs_meanwhile(llm):
    ticks, stop = [], threading.Event()
    thread = threading.Thread(target=lambda: [ticks.append(1) for _ in iter(lambda: stop.wait(0.001), True)])
    thread.start()
    llm.generate("The", greedy(60))
    stop.set()
    thread.join()
    assert len(ticks) >= 10


@pytest.mark.parametrize("call, error, words", [
    (lambda m: m.generate(3), octavo.FieldTypeError, r"generate.inputs\[0\]: expected str or list of int"),
    (lambda m: m.generate(["a", None]), octavo.FieldTypeError, r"inputs\[1\]"),
    (lambda m: m.generate([[1, "x"]]), octavo.FieldTypeError, r"inputs\[0\]\[1\]: expected int"),
    (lambda m: m.generate([[2**40]]), octavo.UsageError, r"inputs\[0\]\[0\]"),
    (lambda m: m.generate([[5000]]), octavo.UsageError, "prompt_token_ids: expected ids from 0 to"),
    (lambda m: m.generate([[1] * 600]), octavo.UsageError, "512"),
    (lambda m: m.generate("\ud800"), octavo.UsageError, "surrogate"),
    (lambda m: m.generate("a", {"max_tokens": 3}), octavo.FieldTypeError, "sampling_params: expected SamplingParams"),
    (lambda m: m.generate("a", [greedy(1), greedy(1)]), octavo.UsageError, "one for each of 1 prompts, got 2"),
    (lambda m: m.generate("a", SamplingParams(top_p=0.0)), octavo.UsageError, "top_p"),
    (lambda m: m.generate("a", lora_request=object()), octavo.UnsupportedError, "lora_request"),
    (lambda m: m.generate("a", lora_requests=None), octavo.UnknownFieldError, "did you mean lora_request"),
    (lambda m: m.generate_async(["a", "b"]), octavo.FieldTypeError, "expected one prompt"),
    (lambda m: m.generate_async("a", streaming=1), octavo.FieldTypeError, "streaming"),
    (lambda m: m.save(3), octavo.FieldTypeError, "engine_dir"),
    (lambda m: m.save("/proc/none/engine"), octavo.Error, "/proc/none"),
])
def test_bad_calls_are_typed_and_leave_the_model_alive(llm, call, error, words):
    with pytest.raises(error, match=words):
        call(llm)
    assert llm.generate("a", greedy(1)).finished


@pytest.mark.parametrize("kwargs, error, words", [
    ({"model": "/nowhere"}, octavo.BadFileError, "/nowhere"),
    ({"model": 3}, octavo.FieldTypeError, "LLM.model"),
    ({"tensor_parallel_sizes": 1}, octavo.UnknownFieldError, "did you mean tensor_parallel_size"),
    ({"dtype": "float8"}, octavo.UnsupportedError, "auto, float32, bfloat16"),
    ({"max_seq_len": 100}, octavo.UsageError, "LLM.max_seq_len: 100 here, 512 in build_config"),
    ({"quant_config": octavo.QuantConfig(quant_algo="NVFP4")}, octavo.UnsupportedError,
     "QuantConfig.quant_algo: expected one of NO_QUANT, FP8"),
    ({"quant_config": octavo.QuantConfig(quant_algo="FP8", max_ppl_increase=0.1), "load_format": "dummy"},
     octavo.UnsupportedError, "max_ppl_increase"),
])
def test_bad_arguments(kwargs, error, words):
    with pytest.raises(error, match=words):
        small_llm(**kwargs)


def test_refused_plugins_name_the_flag():
    config = octavo.BuildConfig(max_seq_len=64)
    config.plugin_config.user_buffer = True
    with pytest.raises(octavo.UnsupportedError, match="user_buffer.*needs.*reduce_fusion"):
        small_llm(build_config=config)


def test_dummy_weights_of_a_scheme():
    quant = octavo.QuantConfig(quant_algo="FP8", kv_cache_quant_algo="FP8")
    with small_llm(load_format="dummy", quant_config=quant) as opened:
        assert len(opened.generate([1, 2], greedy(3)).outputs[0].token_ids) == 3


def test_after_the_end():
    with small_llm(load_format="dummy") as opened:
        pending = opened.generate_async([1, 2], greedy(400))
    assert pending.result().outputs[0].finish_reason == "abort"
    with pytest.raises(octavo.UsageError, match="shut down"):
        opened.generate([[1, 2]])
    opened.shutdown()


def quantizing(max_ppl_increase, **calib):
    return {"quant_config": octavo.QuantConfig(quant_algo="W4A16_AWQ", max_ppl_increase=max_ppl_increase),
            "calib_config": octavo.CalibConfig(
                calib_dataset=POCKET / "calibration.jsonl", calib_batches=4, calib_max_seq_length=32,
                quality_tokens=300, quality_context=64, **calib)}


@pytest.mark.parametrize("algo", ["NO_QUANT", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_BLOCK_SCALES", "W8A16"])
def test_every_algorithm_quantizes(algo):
    config = octavo.QuantConfig(quant_algo=algo)
    with small_llm(quant_config=config) as opened:
        assert len(opened.generate("The compiler", greedy(2)).outputs[0].token_ids) == 2


def test_a_budget_of_quality(tmp_path):
    with small_llm(**quantizing(0.5)) as opened:
        opened.save(tmp_path / "engine")
        text = opened.generate("The compiler", greedy(4)).outputs[0].text
    with small_llm(tmp_path / "engine", build_config=octavo.BuildConfig()) as engine:
        assert engine.generate("The compiler", greedy(4)).outputs[0].text == text
    with pytest.raises(octavo.GateFailedError, match="nothing was written"):
        small_llm(**quantizing(0.0))
    with pytest.raises(octavo.BadFileError, match="nowhere"):
        small_llm(**quantizing(0.1, quality_dataset="/nowhere.txt"))


CTRL_C = """
import octavo, sys
llm = octavo.LLM(sys.argv[1], max_seq_len=2048, kv_cache_config=octavo.KvCacheConfig(max_tokens=2048), device="cpu")
print("ready", flush=True)
try:
    llm.generate("The", octavo.SamplingParams(max_tokens=2000, ignore_eos=True))
except KeyboardInterrupt:
    print(len(llm.generate("The", octavo.SamplingParams(max_tokens=2, ignore_eos=True)).outputs[0].token_ids))
"""


def test_ctrl_c_interrupts_and_the_model_lives_on():
    process = subprocess.Popen([sys.executable, "-c", CTRL_C, POCKET], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "2\n"
    assert process.returncode == 0

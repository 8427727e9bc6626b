# F14: every pair of option values occurs in some run of build and generate.
# SPDX-License-Identifier: Apache-2.0
import itertools
import random
import subprocess

from tiny_model import copy_model

BUILD_OPTIONS = {
    "checkpoint_dir": ["model", "quantized"], "dtype": ["auto", "float32", "bfloat16"], "kv_cache_dtype": ["auto", "fp8", "bfloat16"],
    "max_batch_size": ["1", "4"], "max_num_tokens": ["1", "7", "64"], "max_seq_len": ["1", "33", "512"], "max_input_len": [None, "1", "33"],
    "tokens_per_block": ["1", "16", "1024"], "gemm_plugin": ["auto", "fp8", "disable"], "gemm_swiglu_plugin": ["disable", "fp8"],
    "low_latency_gemm_plugin": ["disable", "fp8"], "low_latency_gemm_swiglu_plugin": ["disable", "fp8"], "reduce_fusion": ["disable", "enable"],
    "user_buffer": ["disable", "enable"], "use_paged_context_fmha": ["enable", "disable"], "use_fp8_context_fmha": ["disable", "enable"],
    "multiple_profiles": ["enable", "disable"], "use_fused_mlp": ["enable", "disable"], "norm_quant_fusion": ["enable", "disable"],
    "rope_attention_fusion": ["disable", "enable"],
    "norm_linear_fusion": ["disable", "enable"],
}
RUN_OPTIONS = {
    "scheduler_policy": ["guaranteed_no_evict", "max_utilization"], "kv_cache_free_gpu_mem_fraction": ["0.5", "1e-5"], "max_tokens": ["1", "40"],
    "temperature": [None, "0", "1.5"], "top_k": [None, "0", "3"], "top_p": [None, "0", "0.5"], "min_p": [None, "0.5"], "logprobs": [None, "0", "20"],
    "repetition_penalty": [None, "1.5"], "seed": [None, "7"], "stop": [None, "e"], "prompt": ["the", "the " * 30],
}
# Most sets that hold one of these are refused, which would hide their other pairs.
REFUSED = {"user_buffer": "enable", "use_fp8_context_fmha": "enable", "gemm_plugin": "fp8", "gemm_swiglu_plugin": "fp8",
           "low_latency_gemm_swiglu_plugin": "fp8", "low_latency_gemm_plugin": "fp8"}


def covering_sets(options, seed):
    """Greedy: each set is the best of a few random ones."""
    draw = random.Random(seed)
    names = list(options)
    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in options[a] for y in options[b]}
    def pairs(chosen):
        return set(itertools.combinations(chosen.items(), 2))
    while missing:
        (a, x), (b, y) = sorted(missing, key=str)[0]
        candidates = []
        for _ in range(20):
            chosen = {name: draw.choice(options[name]) for name in names} | {a: x, b: y}
            candidates.append({name: chosen[name] for name in names})
        best = max(candidates, key=lambda chosen: len(pairs(chosen) & missing))
        missing -= pairs(best)
        yield best


def words(chosen):
    return [f"--{name}={value}" for name, value in chosen.items() if value is not None]


def run_one(fixtures, folder, command, command_words):
    done = subprocess.run([fixtures.octavo, command, *command_words], cwd=folder, capture_output=True, text=True, errors="replace", timeout=60)
    named = done.returncode in (2, 4, 6) and done.stderr.splitlines()[-1].startswith("error: ")
    if done.returncode != 0 and not named:
        return done.returncode, f"{command} {' '.join(command_words)}: exit {done.returncode}: {done.stderr[-300:]!r}"
    return done.returncode, None


def run(fixtures, folder):
    for name in ("model", "quantized"):
        copy_model(fixtures.folder / name, folder / name)
    runs = list(covering_sets(RUN_OPTIONS, 2))
    engines = []
    easy = {name: [value for value in values if REFUSED.get(name) != value] for name, values in BUILD_OPTIONS.items()}
    for options, must_build in ((BUILD_OPTIONS, False), (easy, True)):
        for i, chosen in enumerate(covering_sets(options, 1)):
            engine = f"engine{len(engines)}"
            code, problem = run_one(fixtures, folder, "build", [*words(chosen), f"--output_dir={engine}"])
            if problem:
                yield problem
            if code == 0:
                engines.append(engine)
                sampling = runs[(len(engines) - 1) % len(runs)]
                _, problem = run_one(fixtures, folder, "generate", [f"--engine_dir={engine}", *words(sampling)])
                if problem:
                    yield f"{problem} (built with {' '.join(words(chosen))})"
    if len(engines) < 8:
        yield f"only {len(engines)} of the sets could be built"

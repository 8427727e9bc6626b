# F1-F18: the command line.
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import subprocess

import pairwise
from case_table import BUILD, BUILD_QUANTIZED, GENERATE, GENERATE_ENGINE, QUANTIZE, Case, Scenario, nothing
from tiny_model import copy_model

PROMPT = GENERATE[:-2]  # without the batch size


def f(row, what, command, message, code=2, make=nothing, **more):
    return Case("F" + row, what, make, command, code, message, **more)


def word_cases():
    yield f("1", "unknown command", ("quantise",), r'unknown argument "quantise" of `octavo`; did you mean quantize\?')
    yield f("1", "unknown option", (*BUILD, "--max_batch_sise", "4"), r'unknown argument "--max_batch_sise" of `build`; did you mean --max_batch_size\?')
    yield f("1", "unknown option with dashes", (*BUILD, "--max-batch-sise=4"), r"did you mean --max_batch_size\?")
    yield f("1", "nothing like it", (*BUILD, "--zzzzzzzzzzzzzzzz"), r'unknown argument "--zzzzzzzzzzzzzzzz" of `build`$')
    yield f("1", "control characters", (*BUILD, "--\x1b[31m\n"), r"unknown argument \"--\\x1b\[31m\\x0a\" of `build`")
    yield f("1", "option without value", (*BUILD, "--max_seq_len"), r"--max_seq_len.*1 required|--max_seq_len: .*")
    yield f("1", "value without option", (*BUILD, "8"), r'unknown argument "8" of `build`')
    yield f("1", "value for a flag", (*BUILD, "--dry_run=maybe"), r"dry_run")
    yield f("1", "required option missing", ("build", "--output_dir", "{out}"), r"--checkpoint_dir.*is required")
    yield f("1", "option of another command", (*BUILD, "--temperature", "1"), r'unknown argument "--temperature" of `build`')
    for command in ((), ("build",), ("bench", "throughput"), ("eval", "perplexity")):
        yield f("1", "help " + " ".join(command), (*command, "--help"), r"--help", 0)
    yield f("1", "version", ("--version",), r"octavo \d+\.\d+\.\d+", 0)
    yield f("2", "twice, different", (*BUILD, "--max_seq_len", "8", "--max_seq_len", "16"), r"warning: --max_seq_len is given twice; 16 counts.*MB of weights", 0)
    yield f("2", "twice, equal", (*BUILD, "--max_seq_len", "8", "--max-seq-len=8"), r"MB of weights", 0)


def number_cases():
    for option, value in (("max_batch_size", "INT"), ("max_seq_len", "INT")):
        yield f("3", f"no {option}", (*BUILD, f"--{option}="), rf"--{option}: 1 required {value} missing")
    for word in ("abc", " 5", "5 ", "+5", "0x10", "1e3", "-1", "1e99", "9223372036854775808", "nan", "٥", "5,0", "1_000", "0"):
        yield f("3", f"integer {word!r}", (*BUILD[:-2], f"--max_batch_size={word}"), rf'--max_batch_size: expected an integer from 1 to 65536, got "')
    for word in ("abc", " 1", "+1", "0x1p1", "nan", "inf", "1e400", "-0.1", "2.1", "1,5", "٥"):
        yield f("3", f"number {word!r}", (*PROMPT, f"--temperature={word}"), r'--temperature: expected a number from 0 to 2, got "')
    yield f("3", "seed", (*QUANTIZE, "--seed", "-1"), r'--seed: expected an integer from 0 to 18446744073709551615, got "-1"')
    yield f("3", "share", ("eval", "compare", "--reference", "model", "--model_dir", "model", "--dataset", "x", "--max_ppl_increase", "one%"), r"--max_ppl_increase: expected a share such as 1% or 0\.01")
    yield f("3", "switch", (*BUILD, "--use_fused_mlp", "on"), r'--use_fused_mlp: expected enable\|disable, got "on"')
    yield f("4", "decimal comma", (*GENERATE, "--temperature", "0.5"), r"the", 0, environment={"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"})


def path_cases():
    def out(put):
        return lambda models, folder: put(folder / "out")
    for command in (BUILD, QUANTIZE):
        name = command[0]
        def to(path, name=name, command=command):
            return tuple(path if word == "{out}" else word for word in command)
        yield f("5", f"{name}: exists", command, r"out: the output directory exists and is not empty; --overwrite replaces it",
                make=out(lambda path: (path.mkdir(), (path / "a").write_text("a"))))
        yield f("5", f"{name}: overwrites nothing foreign", (*command, "--overwrite"), r"out: not overwritten, since it holds no config\.json",
                make=out(lambda path: (path.mkdir(), (path / "a").write_text("a"))))
        yield f("5", f"{name}: a file", command, r"out: the output exists and is not a directory", make=out(lambda path: path.write_text("a")))
        yield f("5", f"{name}: dangling link", command, r"out: (the output is a symbolic link that leads nowhere|the output exists and is not a directory)", make=out(lambda path: path.symlink_to("nowhere/at/all")))
        yield f("5", f"{name}: looping link", command, r"out: not a usable output path: ", make=out(lambda path: path.symlink_to("out")))
        yield f("5", f"{name}: is the input", to("model"), r"model: the output must not be or lie inside the input")
        yield f("5", f"{name}: is the input, overwrite", (*to("model"), "--overwrite"), r"model: the output must not be or lie inside the input")
        yield f("5", f"{name}: inside the input", to("model/out"), r"model/out: the output must not be or lie inside the input")
        yield f("5", f"{name}: holds the input", (*to("."), "--overwrite"), r"the output must not contain the input")
        yield f("5", f"{name}: below a file", to("file/out"), r"out: ", make=lambda models, folder: (folder / "file").write_text("x"))
        yield f("5", f"{name}: empty", to(""), r"--output_dir: expected a path|output_dir")
        yield f("5", f"{name}: nowhere writable", to("/proc/octavo/out"), r"/proc/octavo/out: ")
    for word in ("nowhere", "meta-llama/Llama-3.1-8B"):
        yield f("6", f"input {word}", ("build", "--checkpoint_dir", word, "--output_dir", "{out}"), rf"{word}: cannot open: No such file or directory", 3)
        yield f("6", f"model {word}", ("generate", "--model_dir", word, "--prompt", "a"), rf"{word}: cannot open: No such file or directory", 3)
        yield f("6", f"engine {word}", ("generate", "--engine_dir", word, "--prompt", "a"), rf"{word}: cannot open: No such file or directory", 3)
    yield f("6", "neither", ("generate", "--prompt", "a"), r"expected either --engine_dir or --model_dir")
    yield f("6", "both", (*GENERATE, "--engine_dir", "engine"), r"expected either --engine_dir or --model_dir")
    yield f("6", "no prompt", ("generate", "--model_dir", "model"), r"expected --prompt or --prompt_file")
    yield f("6", "prompt file missing", ("generate", "--model_dir", "model", "--prompt_file", "none"), r"none: expected a text file", 3)
    yield f("6", "inspect", ("inspect", "nowhere"), r"nowhere: cannot open", 3)


def meaning_cases():
    yield f("7", "FP8 KV without scales", (*BUILD, "--kv_cache_dtype", "fp8"), r"--kv_cache_dtype fp8: the checkpoint has no calibrated K and V scales", 4)
    for option, message in (("--gemm_plugin=fp8", "needs an FP8 checkpoint"), ("--gemm_swiglu_plugin=fp8", "needs an FP8 checkpoint"),
                            ("--low_latency_gemm_plugin=fp8", "needs an FP8 checkpoint"), ("--use_fp8_context_fmha=enable", "needs an FP8 KV cache"),
                            ("--user_buffer=enable", "needs --reduce_fusion enable"),
                            ("--tp_size=3", "must divide num_attention_heads 4"), ("--pp_size=3", "the model has 2 layers"), ("--device=cuda", "built without the CUDA backend")):
        yield f("14" if "device" not in option else "13", option, (*BUILD, option), rf"{option.replace('=', '[ =]')}.*{message}", 4)
    # Padding is always removed and the cache always paged: the options that would switch them off do not exist.
    for option in ("--remove_input_padding=disable", "--paged_kv_cache=disable", "--context_fmha=disable"):
        yield f("8", option, (*BUILD, option), rf'unknown argument "{option}" of `build`', 2)
    yield f("8", "FP8 attention", (*BUILD_QUANTIZED, "--use_fp8_context_fmha=enable"), r"--use_fp8_context_fmha enable: the CPU backend has no FP8 attention", 4, uses=("quantized",))
    for option, message in (("--max_batch_size=65537", "expected an integer from 1 to 65536"), ("--max_num_tokens=2097152", "expected an integer from 1 to 1048576"),
                            ("--max_seq_len=513", "expected 1 to 512, got 513"), ("--max_input_len=513", "expected 1 to 512"), ("--tokens_per_block=7", "expected a power of two, got 7"),
                            ("--tokens_per_block=2048", "expected an integer from 1 to 1024"), ("--tp_size=65", "expected an integer from 1 to 64"), ("--dtype=int8", 'expected auto|float32|bfloat16, got "int8"'),
                            ("--kv_cache_dtype=int8", "expected auto|fp8|bfloat16"), ("--gemm_plugin=int8", "expected auto|fp8|bfloat16|disable"), ("--device=tpu", "expected auto|cpu|cuda")):
        name = option.split("=")[0]
        yield f("9", option, (*BUILD, option), f"{name}: {message}".replace("|", r"\|"))
    yield f("9", "max_input_len above max_seq_len", (*BUILD, "--max_seq_len=16", "--max_input_len=17"), r"--max_input_len: expected 1 to 16, got 17")
    for value in ("0", "1", "1.0"):
        yield f("11", f"fraction {value}", (*GENERATE, "--kv_cache_free_gpu_mem_fraction", value), r"--kv_cache_free_gpu_mem_fraction: expected a number between 0 and 1, both excluded")
    for value in ("1.5", "-0.1"):
        yield f("11", f"fraction {value}", (*GENERATE, "--kv_cache_free_gpu_mem_fraction", value), r"--kv_cache_free_gpu_mem_fraction: expected a number from 0 to 1, got")
    yield f("11", "no block fits", (*GENERATE, "--kv_cache_free_gpu_mem_fraction", "1e-15"), r"the KV cache needs 8192 bytes for one block, 0 are available", 6)
    engine = dict(uses=("engine",))
    for option, built in (("--kv_cache_dtype=bfloat16", "fp8"), ("--tokens_per_block=64", "32"), ("--max_seq_len=1024", "512"), ("--dtype=float32", "bfloat16"), ("--tp_size=2", "1")):
        yield f("12", option, (*GENERATE_ENGINE, option), rf"{option.replace('=', ' ')}: the engine was built for {built}; build it again", 4, **engine)
    yield f("12", "--max_batch_size=8", (*GENERATE_ENGINE, "--max_batch_size=8"), r"--max_batch_size 8: the engine was built for 4; build it again", 4, **engine)
    yield f("12", "as built", (*GENERATE_ENGINE, "--kv_cache_dtype=fp8", "--tokens_per_block=32", "--max_batch_size=2"), r"the", 0, **engine)
    yield f("12", "checkpoint as an engine", ("generate", "--engine_dir", "model", "--prompt", "a"), r"config\.json: octavo_engine: missing", 3)
    yield f("12", "engine as a checkpoint", ("generate", "--model_dir", "engine", "--prompt", "a"), r"engine/config\.json: architectures: .*", 4, **engine)
    for name in ("n", "num_beams", "beam_width", "lora_dir", "guided_decoding", "draft_model_dir"):
        yield f("14", name, (*GENERATE, f"--{name}", "2"), rf"--{name}: not supported", 4)
    yield f("14", "stream with json", (*GENERATE, "--stream", "--json"), r"--stream takes one prompt and no --json")
    for option in ("--export_format=gguf", "--qformat=nvfp4"):
        yield f("14", option, (*QUANTIZE, option), rf"{option.split('=')[0]}: expected .*, got \"{option.split('=')[1]}\"", 4)
    yield f("14", "--qformat=x", (*QUANTIZE, "--qformat=x"), r"--qformat: expected .*, got \"x\"", 4)
    yield f("14", "full_prec alone", (*QUANTIZE, "--qformat=full_prec"), r"--qformat full_prec without --kv_cache_dtype fp8 would quantize nothing")
    yield f("14", "--load_format=x", (*GENERATE, "--load_format=x"), r'--load_format: expected auto\|dummy, got "x"')
    yield f("14", "--scheduler_policy=x", (*GENERATE, "--scheduler_policy=x"), r"--scheduler_policy: expected guaranteed_no_evict\|max_utilization")
    yield f("18", "two jobs, one target", BUILD, rf"\.out\.lock: locked by process {os.getpid()}, which writes to the same place", 5, make=lock_output)


def lock_output(models, folder):
    descriptor = os.open(folder / ".out.lock", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, str(os.getpid()).encode())
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # held to the end of this process


def broken_streams(fixtures, folder):
    """The job's result is there although nobody can read about it."""
    copy_model(fixtures.folder / "model", folder / "model")
    streams = {"stdout is full": (dict(stdout="/dev/full"), 5), "stderr is full": (dict(stderr="/dev/full"), 0), "stdout is closed": (dict(setup="exec >&-"), 5),
               "stderr is closed": (dict(setup="exec 2>&-"), 0), "both are full": (dict(stdout="/dev/full", stderr="/dev/full"), 5)}
    for what, (stream, code) in streams.items():
        out = folder / what.replace(" ", "_")
        command = [fixtures.octavo, *[word.format(out=out) for word in BUILD]]
        with open(stream.get("stdout", "/dev/null"), "w") as stdout, open(stream.get("stderr", "/dev/null"), "w") as stderr:
            if "setup" in stream:
                command = ["sh", "-c", stream["setup"] + '; exec "$@"', "sh", *command]
            done = subprocess.run(command, cwd=folder, stdout=stdout, stderr=stderr, timeout=60)
        if done.returncode != code:
            yield f"{what}: expected exit {code}, got {done.returncode}"
        checked = subprocess.run([fixtures.octavo, "generate", "--engine_dir", out, "--prompt", "the", "--max_tokens", "1"], capture_output=True)
        if checked.returncode != 0:
            yield f"{what}: the engine is not whole: {checked.stderr[-200:]!r}"


def no_arguments(fixtures, folder):
    """The whole help instead of one line, on stderr: nothing was asked for."""
    done = subprocess.run([fixtures.octavo], cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode != 2 or done.stdout or "Usage: octavo" not in done.stderr:
        yield f"expected exit 2 and the help, got {done.returncode}: {done.stderr[-300:]!r}"


def long_output(fixtures, folder):
    """More than a buffer, so that it is the print itself that fails."""
    copy_model(fixtures.folder / "engine", folder / "engine")
    with open("/dev/full", "w") as full:
        done = subprocess.run([fixtures.octavo, "inspect", "engine", "--kernels", "--json"], cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=60)
    if done.returncode != 5 or not done.stderr.startswith(b"error: "):
        yield f"expected exit 5, got {done.returncode}: {done.stderr[-300:]!r}"


def closed_pipe(fixtures, folder):
    copy_model(fixtures.folder / "engine", folder / "engine")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([fixtures.octavo, *GENERATE_ENGINE], cwd=folder, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    if done.returncode != 5 or b"error: standard output cannot be written" not in done.stderr:
        yield f"expected exit 5, got {done.returncode}: {done.stderr[-300:]!r}"


def cases():
    for table in (word_cases, number_cases, path_cases, meaning_cases):
        yield from table()
    yield Scenario("F1", "no arguments", lambda fixtures, folder: list(no_arguments(fixtures, folder)))
    yield Scenario("F17", "streams that fail", lambda fixtures, folder: list(broken_streams(fixtures, folder)))
    yield Scenario("F17", "long output to a full disk", lambda fixtures, folder: list(long_output(fixtures, folder)))
    yield Scenario("F17", "closed pipe", lambda fixtures, folder: list(closed_pipe(fixtures, folder)))
    yield Scenario("F14", "pairwise sets of options", lambda fixtures, folder: list(pairwise.run(fixtures, folder)))

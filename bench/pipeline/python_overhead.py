#!/usr/bin/env python3
# What the Python package adds to a run of many requests: its own processor time, counted.
# SPDX-License-Identifier: Apache-2.0
"""Generates with octavo.LLM from random weights of --model_dir and prints one JSON object: wall time, the processor
time of the interpreter's thread, and its share of the wall time. An engine's step waits for the interpreter nowhere;
what the thread takes is the most that Python could add. Exit 1 above --limit."""

import argparse
import json
import random
import sys
import time

import octavo


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--vocabulary", type=int, required=True, help="token ids are drawn below it")
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--input_tokens", type=int, default=128)
    parser.add_argument("--output_tokens", type=int, default=256)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--limit", type=float, default=0.01, help="of the wall time")
    arguments = parser.parse_args()
    plugins = octavo.PluginConfig(low_latency_gemm_plugin="fp8", gemm_swiglu_plugin="fp8")
    llm = octavo.LLM(model=arguments.model_dir, load_format="dummy", device=arguments.device,
                     quant_config=octavo.QuantConfig(quant_algo="FP8", kv_cache_quant_algo="FP8"),
                     build_config=octavo.BuildConfig(
                         max_batch_size=arguments.requests, max_num_tokens=8192, plugin_config=plugins,
                         max_seq_len=arguments.input_tokens + arguments.output_tokens))
    draw = random.Random(1)
    prompts = [[draw.randrange(arguments.vocabulary) for _ in range(arguments.input_tokens)]
               for _ in range(arguments.requests)]
    sampling = octavo.SamplingParams(max_tokens=arguments.output_tokens, ignore_eos=True)
    llm.generate(prompts[:8], sampling)
    rows = {}
    for name in ("generate", "streaming"):
        wall, thread = time.perf_counter(), time.thread_time()
        if name == "generate":
            tokens = sum(len(output.outputs[0].token_ids) for output in llm.generate(prompts, sampling))
        else:
            running = [llm.generate_async(prompt, sampling, streaming=True) for prompt in prompts]
            tokens = 0
            for result in running:
                for piece in result:
                    tokens_now = len(piece.outputs[0].token_ids)
                tokens += tokens_now
        wall, thread = time.perf_counter() - wall, time.thread_time() - thread
        rows[name] = {"wall_s": wall, "python_s": thread, "share": thread / wall, "tokens": tokens,
                      "tokens_per_s": tokens / wall}
    print(json.dumps({"requests": arguments.requests, "input_tokens": arguments.input_tokens,
                      "output_tokens": arguments.output_tokens, "runs": rows}))
    return int(any(row["share"] > arguments.limit for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())

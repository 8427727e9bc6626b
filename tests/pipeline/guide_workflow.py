#!/usr/bin/env python3
# The FP8 guide's command-line workflow with its flags verbatim, on the embedded model.
# SPDX-License-Identifier: Apache-2.0
"""guide_workflow.py OCTAVO: quantizes with an FP8 KV cache, builds with each set of the guide's flags, and expects
the same text from all, since a plugin flag runs its unfused meaning on the CPU, with one notice."""

import pathlib
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parents[2] / "models" / "pocket-llama"
LIMITS = ["--max_seq_len", "512", "--max_batch_size", "8", "--max_num_tokens", "512", "--device", "cpu"]
STEPS = [  # flags as the guide writes them, and how often the notice about plugins is due
    ([], 0),
    (["--reduce_fusion", "enable", "--user_buffer", "enable"], 0),
    (["--gemm_swiglu_plugin=fp8"], 1),
    (["--low_latency_gemm_swiglu_plugin=fp8"], 1),
    (["--reduce_fusion", "enable", "--user_buffer", "enable", "--gemm_swiglu_plugin=fp8",
      "--low_latency_gemm_plugin=fp8"], 1),
    (["--gemm_plugin=fp8"], 1),
]


def octavo(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"octavo {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout, done.stderr


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = pathlib.Path(folder) / "fp8"
        octavo(program, "quantize", "--model_dir", MODEL, "--output_dir", checkpoint, "--qformat", "fp8",
               "--kv_cache_dtype", "fp8", "--calib_dataset", MODEL / "calibration.jsonl", "--calib_size", 4,
               "--calib_max_seq_length", 64, "--device", "cpu")
        texts = set()
        for number, (flags, notices) in enumerate(STEPS):
            engine = pathlib.Path(folder) / f"engine{number}"
            out, log = octavo(program, "build", "--checkpoint_dir", checkpoint, "--output_dir", engine, *LIMITS, *flags)
            if (out + log).count("unfused meaning") != notices:
                sys.exit(f"{flags}: expected {notices} notice(s) about plugins\n{out}{log}")
            texts.add(octavo(program, "generate", "--engine_dir", engine, "--prompt", "The compiler",
                             "--max_tokens", 12)[0])
        if len(texts) != 1:
            sys.exit(f"plugin flags changed the text: {texts}")
    print(f"{len(STEPS)} builds of the guide give the same text")


if __name__ == "__main__":
    main()

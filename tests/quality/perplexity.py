#!/usr/bin/env python3
# Perplexity of the embedded model, 16-bit and quantized, against the reference on a long held-out text.
# SPDX-License-Identifier: Apache-2.0
"""usage: perplexity.py PATH_TO_OCTAVO"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "pocket-llama"
DATA = ROOT.parent / "shared" / "data"
TOKENS = "160000"
# The reference's values on the same tokens, and how far ours may be above (the 16-bit one: from) them.
REFERENCE = {"bf16": 9.2415, "fp8": 9.3496, "fp8_kv": 9.3898}
LIMIT = {"bf16": 0.001, "fp8": 0.004, "fp8_kv": 0.005}


def octavo(program, *words):
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"octavo {' '.join(map(str, words))}: exit {done.returncode}")
    return done.stdout


def perplexity(program, model):
    words = ("eval", "perplexity", "--model_dir", model, "--dataset", DATA / "valid.jsonl",
             "--max_tokens", TOKENS, "--json")
    return json.loads(octavo(program, *words))["perplexity"]


def quantize(program, output, *more):
    octavo(program, "quantize", "--model_dir", MODEL, "--output_dir", output, "--calib_dataset", DATA / "calib.jsonl",
           "--calib_size", "128", "--calib_max_seq_length", "1024", *more)
    return output


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not (DATA / "valid.jsonl").exists() or not (DATA / "calib.jsonl").exists():
        print(f"skipped: {DATA} holds no valid.jsonl and calib.jsonl")
        return 0
    program, failed = os.path.abspath(sys.argv[1]), 0
    with tempfile.TemporaryDirectory() as folder:
        models = {"bf16": MODEL, "fp8": quantize(program, Path(folder) / "fp8"),
                  "fp8_kv": quantize(program, Path(folder) / "fp8_kv", "--kv_cache_dtype", "fp8")}
        for name, model in models.items():
            value = perplexity(program, model)
            difference = value / REFERENCE[name] - 1
            wrong = abs(difference) > LIMIT[name] if name == "bf16" else difference > LIMIT[name]
            failed += wrong
            print(f"{'FAILED ' if wrong else ''}{name}: perplexity {value:.4f}, "
                  f"{100 * difference:+.3f} % from {REFERENCE[name]}")
    print(f"{len(models) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

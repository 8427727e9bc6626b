#!/usr/bin/env python3
# Perplexity of the small trained models, 16-bit and quantized, against the reference on a long held-out text.
# SPDX-License-Identifier: Apache-2.0
"""usage: perplexity.py PATH_TO_OCTAVO [MODEL…]"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
DATA = SHARED / "data"
TOKENS = "160000"
# Where a model is, the reference's values on the same tokens, and how far ours may be above (16-bit: from) them.
MODELS = {
    "pocket-llama": (ROOT / "models", {"bf16": (9.2415, 0.001), "fp8": (9.3496, 0.004), "fp8_kv": (9.3898, 0.005),
                                        "fp8_pc_pt": (9.3142, 0.005)}),
    "pocket-mixtral": (SHARED / "models",
                       {"bf16": (9.278870, 0.001), "fp8": (9.321918, 0.005), "fp8_kv": (9.365017, 0.005),
                        "fp8_pc_pt": (9.322246, 0.005)}),
}


def octavo(program, *words):
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"octavo {' '.join(map(str, words))}: exit {done.returncode}")
    return done.stdout


def perplexity(program, model):
    words = ("eval", "perplexity", "--model_dir", model, "--dataset", DATA / "valid.jsonl",
             "--max_tokens", TOKENS, "--json")
    return json.loads(octavo(program, *words))["perplexity"]


def quantize(program, model, output, *more):
    octavo(program, "quantize", "--model_dir", model, "--output_dir", output, "--calib_dataset", DATA / "calib.jsonl",
           "--calib_size", "128", "--calib_max_seq_length", "1024", *more)
    return output


def check(program, name):
    """The number of values out of their bounds."""
    home, references = MODELS[name]
    model, failed = home / name, 0
    with tempfile.TemporaryDirectory() as folder:
        variants = {"bf16": model, "fp8": quantize(program, model, Path(folder) / "fp8"),
                    "fp8_kv": quantize(program, model, Path(folder) / "fp8_kv", "--kv_cache_dtype", "fp8"),
                    "fp8_pc_pt": quantize(program, model, Path(folder) / "fp8_pc_pt", "--qformat", "fp8_pc_pt")}
        for variant, path in variants.items():
            reference, limit = references[variant]
            value = perplexity(program, path)
            difference = value / reference - 1
            wrong = abs(difference) > limit if variant == "bf16" else difference > limit
            failed += wrong
            print(f"{'FAILED ' if wrong else ''}{name} {variant}: perplexity {value:.4f}, "
                  f"{100 * difference:+.3f} % from {reference}", flush=True)
    return failed


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    names = [name for name in sys.argv[2:] or MODELS if (MODELS[name][0] / name).exists()]
    if not (DATA / "valid.jsonl").exists() or not (DATA / "calib.jsonl").exists():
        print(f"skipped: {DATA} holds no valid.jsonl and calib.jsonl")
        return 0
    failed = sum(check(os.path.abspath(sys.argv[1]), name) for name in names)
    print(f"{sum(len(MODELS[name][1]) for name in names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

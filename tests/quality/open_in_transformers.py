#!/usr/bin/env python3
# Opens compressed-tensors exports of pocket-llama in transformers and compares the logits with ours.
# SPDX-License-Identifier: Apache-2.0
"""usage: open_in_transformers.py BUILD_DIR [--keep FOLDER] [QFORMAT …]

Run by hand where torch, transformers and compressed-tensors are installed (no part of scripts/test, which
installs no PyTorch). Needs octavo and tests/dump_logits below BUILD_DIR. For every format:

  1. octavo quantize --qformat F --export_format compressed-tensors
  2. transformers opens the folder by itself (AutoModelForCausalLM.from_pretrained), without a missing or an unexpected
     tensor, and computes the logits of a text in float32
  3. ours, in float32, must lie within `bound` of them.

The model is pocket-llama's first layer between its embedding and its head: a difference that moves one code by a
sixteenth moves more codes in every layer behind it, so that over six layers two orders of summation are as far apart as
the noise of the format. A distance is the root mean square over a token's logits, the median over tokens, since a code
that does move touches few of them. The bound is 8 times the distance of the unquantized model's float32 logits from its
float64 ones, both by transformers: another order of summation draws its rounding errors from the same distribution.
`effect` is how far the unquantized model is away: what a format that were ignored would show; it must lie beyond the
bound."""
import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = Path(__file__).resolve().parents[2] / "models" / "pocket-llama"
FORMATS = ("fp8", "fp8_pc_pt", "fp8_block", "int8_wo", "int4_awq")
TEXT = ("The allocator keeps a list of free blocks for every size class. When a block is freed, its neighbours are "
        "looked up and merged with it, so that large requests can be served after many small ones were freed.")


def one_layer(folder):
    shutil.copytree(MODEL, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    first = {name: tensor for name, tensor in tensors.items() if not re.match(r"model\.layers\.[1-9]", name)}
    save_file(first, folder / "model.safetensors", {"format": "pt"})
    return folder


def export(octavo, model, qformat, folder):
    subprocess.run([octavo, "quantize", "--model_dir", model, "--output_dir", folder, "--qformat", qformat,
                    "--export_format", "compressed-tensors", "--calib_dataset", MODEL / "calibration.jsonl",
                    "--calib_size", "32", "--device", "cpu", "--dtype", "float32", "--overwrite"],
                   check=True, capture_output=True, text=True)


def ours(tool, folder, ids):
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([tool, folder, "float32", file.name, *map(str, ids)], check=True)
        return numpy.fromfile(file.name, "<f4").reshape(len(ids), -1)


def theirs(folder, ids, dtype):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager",
                                                          output_loading_info=True)
    left = {kind: sorted(loading[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
            if loading.get(kind)}
    if left:
        sys.exit(f"{folder}: {json.dumps(left)[:2000]}")
    model.eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].to(torch.float64).numpy()


def distance(a, b):
    return float(numpy.median(numpy.sqrt(numpy.mean((a - b)**2, axis=1))))


def compare(qformat, mine, other, plain, bound):
    found, effect = distance(mine, other), distance(plain, other)
    agree = (mine.argmax(1) == other.argmax(1)).mean()
    verdict = "ok" if found <= bound < effect else "FAILED"
    print(f"{qformat:10} distance {found:.3g}  bound {bound:.3g}  effect {effect:.3g}  "
          f"same likeliest token {100 * agree:.1f} %  {verdict}", flush=True)
    return verdict == "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the exports; made and removed by default")
    parser.add_argument("formats", nargs="*", default=FORMATS)
    arguments = parser.parse_intermixed_args()
    ids = AutoTokenizer.from_pretrained(MODEL)(TEXT)["input_ids"]
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        model = one_layer(Path(temporary) / "model")
        plain = theirs(model, ids, torch.float64)
        bound = 8 * distance(theirs(model, ids, torch.float32), plain)
        for qformat in arguments.formats:
            folder = (arguments.keep or Path(temporary)) / qformat
            export(arguments.build / "octavo", model, qformat, folder)
            mine = ours(arguments.build / "tests" / "dump_logits", folder, ids)
            failed += not compare(qformat, mine, theirs(folder, ids, torch.float32), plain, bound)
    print(f"{len(arguments.formats) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

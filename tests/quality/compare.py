#!/usr/bin/env python3
# `octavo eval compare`: reference figures, intervals on a disjoint half of the text, a damaged checkpoint.
# SPDX-License-Identifier: Apache-2.0
"""usage: compare.py PATH_TO_OCTAVO"""
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "pocket-llama"
DATA = ROOT.parent / "shared" / "data"
# As in perplexity.py: 16-bit from the reference, FP8 above it.
REFERENCE, FP8 = (9.2415, 0.001), (9.3496, 0.004)
DAMAGED = "model.layers.3.mlp.down_proj.weight_scale"
STATISTICS = ("ppl_increase", "mean_kl", "top1_agreement")


def octavo(program, *words, codes=(0,)):
    done = subprocess.run([program, *map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"octavo {' '.join(map(str, words))}: exit {done.returncode}")
    return done


def compare(program, model, text, tokens, *more, codes=(0,)):
    done = octavo(program, "eval", "compare", "--reference", MODEL, "--model_dir", model, "--dataset", text,
                  "--max_tokens", tokens, "--json", *more, codes=codes)
    return json.loads(done.stdout), done.returncode


def halves(folder):
    """The first half of every document, and the second: the same mixture, which is what an interval speaks of."""
    texts = [json.loads(line)["text"] for line in (DATA / "valid.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, part in (("first", [text[:len(text) // 2] for text in texts]),
                       ("second", [text[len(text) // 2:] for text in texts])):
        lines = [json.dumps({"text": text}) for text in part]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield folder / f"{name}.jsonl"


def damage(folder):
    """One scale × 4, in place."""
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    end = 8 + struct.unpack("<Q", content[:8])[0]
    at = end + json.loads(content[8:end])[DAMAGED]["data_offsets"][0]
    content[at:at + 4] = struct.pack("<f", 4 * struct.unpack("<f", content[at:at + 4])[0])
    path.write_bytes(content)


def checks(program, folder):
    fp8 = folder / "fp8"
    octavo(program, "quantize", "--model_dir", MODEL, "--output_dir", fp8, "--calib_dataset", DATA / "calib.jsonl",
           "--calib_size", 128, "--calib_max_seq_length", 1024)
    report, _ = compare(program, fp8, DATA / "valid.jsonl", 160000)
    reference, engine = report["reference"]["perplexity"], report["engine"]["perplexity"]
    yield abs(reference / REFERENCE[0] - 1) <= REFERENCE[1], f"16-bit perplexity {reference:.4f}, wanted {REFERENCE[0]}"
    yield engine / FP8[0] - 1 <= FP8[1], f"FP8 perplexity {engine:.4f}, wanted at most {FP8[0]} and {FP8[1]:.1%}"
    one, other = (compare(program, fp8, half, 80000)[0] for half in halves(folder))
    for name in STATISTICS:
        for here, there in ((one, other), (other, one)):
            low, high = here[name + "_interval95"]
            yield low <= there[name] <= high, f"{name}: {low:.5f} to {high:.5f}, on the other half {there[name]:.5f}"
    damage(fp8)
    report, code = compare(program, fp8, DATA / "valid.jsonl", 8192, "--context", 512, "--max_ppl_increase", "2%",
                           "--layer_sensitivity", codes=(0, 1))
    yield code == 1 and report["verdict"] == "fail", f"one scale x 4: exit {code}, {report['ppl_increase']:+.2%}"
    worst = report["layer_sensitivity"][0]["layer"]
    yield DAMAGED.startswith(worst + "."), f"one scale x 4: the layer that pays most is {worst}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not (DATA / "valid.jsonl").exists():
        print(f"skipped: {DATA} holds no valid.jsonl")
        return 0
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for ok, what in checks(os.path.abspath(sys.argv[1]), Path(folder)):
            passed, failed = passed + ok, failed + (not ok)
            print(("" if ok else "FAILED ") + what, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

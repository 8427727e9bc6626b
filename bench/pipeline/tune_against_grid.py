#!/usr/bin/env python3
# How close `octavo tune` comes to the best of an exhaustive grid of 24 points, and with how many trials.
# SPDX-License-Identifier: Apache-2.0
"""usage: tune_against_grid.py OCTAVO OUTPUT_DIR [--requests 144] [--repeats 5] [--picture FILE.png]

On pocket-llama in FP8 with K and V scales: batch limits × token limits × KV type. The first trials of the search
have a ninth of the requests, which must still fill the largest batch: 9 × 16. Nothing else may run on the machine; it
takes about 20 minutes on two cores. Interrupted, it goes on where it was.

  1. exhaustive: `tune --search grid`, all 24 with all requests
  2. the search: `tune --search halving`
  3. its winner and the three best of the grid are measured again, in turns, `--repeats` times each, since the best of
     24 noisy figures is better than it is; medians are compared

Wanted: the winner within 2 % of the best, the search worth at most 12 trials. Exit code 1 otherwise. Writes
OUTPUT_DIR/result.json.
--picture renders the search's tune.html with chromium, offline (Debian: chromium)."""
import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).resolve().parents[2] / "models" / "pocket-llama"
GRID = {"max_batch_size": [2, 4, 8, 16], "max_num_tokens": [64, 256, 1024], "kv_cache_dtype": ["bfloat16", "fp8"]}
LIMITS = ["--max_seq_len", "512", "--device", "cpu"]
MOST_LOSS, MOST_TRIALS = 0.02, 12


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def prepare(octavo, folder, requests):
    checkpoint, dataset, grid = folder / "fp8", folder / "requests.jsonl", folder / "grid.json"
    if not checkpoint.exists():
        run(octavo, "quantize", "--model_dir", MODEL, "--output_dir", checkpoint, "--kv_cache_dtype", "fp8",
            "--calib_dataset", MODEL / "calibration.jsonl", "--device", "cpu")
    if not dataset.exists():
        run(octavo, "bench", "dataset", "token-norm-dist", "--num_requests", requests, "--input_mean", 128,
            "--input_stdev", 32, "--output_mean", 64, "--output_stdev", 16, "--tokenizer", MODEL, "--output", dataset)
    grid.write_text(json.dumps(GRID), encoding="utf-8")
    return checkpoint, dataset, grid


def tune(octavo, folder, inputs, search):
    checkpoint, dataset, grid = inputs
    run(octavo, "tune", "--model_dir", checkpoint, "--dataset", dataset, "--grid", grid, "--search", search,
        "--output_dir", folder / search, *LIMITS)
    return json.loads((folder / search / "tune.json").read_text(encoding="utf-8"))


def measure(octavo, folder, inputs, settings):
    report = folder / "again.json"
    flags = [word for name, value in settings.items() for word in ("--" + name, value)]
    run(octavo, "bench", "throughput", "--model_dir", inputs[0], "--dataset", inputs[1], "--report_json", report,
        *LIMITS, *flags)
    return json.loads(report.read_text(encoding="utf-8"))["performance"]["token_throughput"]


def picture(html, file):
    browser = shutil.which("chromium") or sys.exit("--picture: needs chromium")
    run(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,1000",
        f"--screenshot={file}", html.resolve().as_uri())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("octavo")
    parser.add_argument("output", type=Path)
    parser.add_argument("--requests", type=int, default=144)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    inputs = prepare(arguments.octavo, arguments.output, arguments.requests)
    exhaustive = tune(arguments.octavo, arguments.output, inputs, "grid")
    search = tune(arguments.octavo, arguments.output, inputs, "halving")
    ranked = sorted((t for t in exhaustive["trials"] if not t["refused"]), key=lambda t: -t["token_throughput"])
    winner = search["best"]["settings"]
    candidates = [winner] + [t["settings"] for t in ranked[:3] if t["settings"] != winner]
    again = [[measure(arguments.octavo, arguments.output, inputs, each) for each in candidates]
             for _ in range(arguments.repeats)]
    medians = [statistics.median(column) for column in zip(*again)]
    loss, trials = 1 - medians[0] / max(medians), search["full_trials"]
    result = {"points": len(exhaustive["trials"]), "trials_of_search": trials, "loss_of_winner": loss,
              "candidates": [{"settings": s, "token_throughput": m} for s, m in zip(candidates, medians)],
              "passed": loss <= MOST_LOSS and trials <= MOST_TRIALS}
    (arguments.output / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    if arguments.picture:
        picture(arguments.output / "halving" / "tune.html", arguments.picture)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

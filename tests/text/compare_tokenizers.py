#!/usr/bin/env python3
# Compares Octavo's tokenizer with the `tokenizers` package: ids, decoded text and streamed text.
# SPDX-License-Identifier: Apache-2.0
"""compare_tokenizers.py TOOL [DIR ...]: DIR holds tokenizer.json; without DIR, the fixtures of tests/data/tokenizers
and models/pocket-llama where it exists. Exit code 0: all equal; 1: a difference; 2: `tokenizers` is missing."""
import argparse
import json
import pathlib
import subprocess
import sys
import time

from text_samples import samples

ROOT = pathlib.Path(__file__).resolve().parents[2]


def default_directories():
    fixtures = sorted(p.parent for p in (ROOT / "tests/data/tokenizers").glob("*/tokenizer.json"))
    model = ROOT / "models/pocket-llama"
    return fixtures + ([model] if (model / "tokenizer.json").exists() else [])


def run_tool(tool, directory, records):
    data = b"".join(b"%s %d\n%s" % (mode, len(text), text) for mode, text in records)
    result = subprocess.run([tool, directory], input=data, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.split(b"\n") if line]


def reference(tokenizer, mode, text):
    tokenizer.encode_special_tokens = mode == b"p"
    ids = tokenizer.encode(text.decode("utf-8", "replace")).ids
    return {"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False), "stream": tokenizer.decode(ids)}


def compare(tool, directory, args, tokenizers):
    tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    texts = samples(args.seed, args.count, added)
    records = [(b"p" if i % 4 == 3 else b"e", text) for i, text in enumerate(texts)]
    started = time.monotonic()
    results = run_tool(tool, directory, records)
    seconds = time.monotonic() - started
    differences = 0
    for (mode, text), ours in zip(records, results, strict=True):
        theirs = reference(tokenizer, mode, text)
        if ours != theirs:
            differences += 1
            if differences <= args.show:
                print(f"  {mode.decode()} {text!r}\n    ours   {ours}\n    theirs {theirs}")
    tokens = sum(len(result["ids"]) for result in results)
    print(f"{directory.name}: {len(texts)} texts, {tokens} tokens, {differences} differences, {seconds:.1f} s")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool")
    parser.add_argument("directories", nargs="*", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3)
    args = parser.parse_args()
    try:
        import tokenizers
    except ImportError:
        print("the Python package `tokenizers` is missing", file=sys.stderr)
        return 2
    directories = args.directories or default_directories()
    return 1 if sum(compare(args.tool, d, args, tokenizers) for d in directories) else 0


if __name__ == "__main__":
    sys.exit(main())

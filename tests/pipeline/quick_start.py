#!/usr/bin/env python3
# Runs the command lines of docs/quick_start.md as they stand there.
# SPDX-License-Identifier: Apache-2.0
"""quick_start.py OCTAVO: every block after <!-- run -->, in order, in an empty folder, with `octavo` and $model set."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- run -->\n```\n(.*?)```", re.S)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    blocks = BLOCK.findall((ROOT / "docs" / "quick_start.md").read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        commands = pathlib.Path(folder) / "bin"
        commands.mkdir()
        (commands / "octavo").symlink_to(program)
        environment = os.environ | {"model": str(ROOT / "models" / "pocket-llama"),
                                    "PATH": f"{commands}:{os.environ['PATH']}"}
        for line in lines:
            done = subprocess.run(["bash", "-ec", line], cwd=folder, env=environment, capture_output=True, text=True,
                                  check=False)
            if done.returncode != 0:
                sys.exit(f"docs/quick_start.md: {line}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"{len(lines)} command lines of docs/quick_start.md run")


if __name__ == "__main__":
    main()

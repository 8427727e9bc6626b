#!/usr/bin/env python3
# Rewrites the shared variables of a CUDA source, so that a C++ compiler takes it for the emulator.
# SPDX-License-Identifier: Apache-2.0
"""declare_shared.py FROM TO. `extern __shared__ … T name[];` becomes a pointer, `__shared__ T name[N];` a
reference into the memory of the CTA that runs."""

import pathlib
import re
import sys

DYNAMIC = re.compile(r"extern __shared__ (?:__align__\(\d+\) |alignas\(\d+\) )?([\w:]+) (\w+)\[\];")
STATIC = re.compile(r"__shared__ (?:__align__\(\d+\) |alignas\(\d+\) )?([^;{}()=]+?[ *>])(\w+)((?:\[[^\]]+\])*);")


def rewrite(text, name):
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        line = DYNAMIC.sub(r"auto* const \2 = reinterpret_cast<\1*>(::octavo::emulator::dynamic_shared());", line)
        line = STATIC.sub(lambda m: f"auto& {m[2]} = ::octavo::emulator::shared_variable<std::remove_reference_t<"
                                    f"{m[1].strip()}{m[3]}>>({number});", line)
        if re.search(r"\b__shared__\b", line.split("//")[0]):
            sys.exit(f"{name}:{number}: expected one shared variable without an initialiser, got {line.strip()}")
        lines.append(line)
    return "\n".join(lines) + "\n"


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    text = f'#line 1 "{source}"\n' + rewrite(source.read_text(encoding="utf-8"), source)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


main()

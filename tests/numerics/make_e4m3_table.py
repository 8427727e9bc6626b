#!/usr/bin/env python3
# Writes e4m3_table.h: what ml_dtypes, an independent codec, makes of E4M3 and BF16.
# SPDX-License-Identifier: Apache-2.0
"""Usage: make_e4m3_table.py > e4m3_table.h  (needs numpy and ml_dtypes)"""

import ml_dtypes
import numpy as np

SAMPLES = 200


def main() -> None:
    codes = np.arange(256, dtype=np.uint8)
    values = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)

    # Within ±448: beyond, ml_dtypes gives NaN where Octavo saturates. Half of the samples are at
    # the midpoint of two neighbouring codes or one unit beside it.
    random = np.random.default_rng(1)
    spread = (random.choice([-1, 1], SAMPLES) * 2.0 ** random.uniform(-11, 8.8, SAMPLES)).astype(np.float32)
    positive = np.sort(values[:0x7F])
    middles = ((positive[1:].astype(np.float64) + positive[:-1]) / 2).astype(np.float32)
    near = np.concatenate([middles, np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(500))])
    inputs = np.concatenate([spread, near]).astype(np.float32)
    encoded = inputs.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    halves = inputs.astype(ml_dtypes.bfloat16).view(np.uint16)

    print("// E4M3 and BF16 as ml_dtypes computes them; written by make_e4m3_table.py.")
    print("// SPDX-License-Identifier: Apache-2.0")
    print("#pragma once\n")
    print("#include <cstdint>\n")
    print("namespace octavo {\n")
    print("// clang-format off")
    print("// Bits of the float32 value of every code.")
    print(f"inline constexpr uint32_t kE4M3Values[256] = {{{rows(values.view(np.uint32))}}};\n")
    print("struct EncoderSample {\n  uint32_t input;  // bits of a float32\n  uint8_t e4m3;\n  uint16_t bf16;\n};")
    samples = [f"{{0x{i:08X},0x{e:02X},0x{b:04X}}}" for i, e, b in zip(inputs.view(np.uint32), encoded, halves)]
    print(f"inline constexpr EncoderSample kEncoderSamples[] = {{{join(samples, 4)}}};")
    print("// clang-format on\n")
    print("}  // namespace octavo")


def rows(values: np.ndarray) -> str:
    return join([f"0x{v:08X}" for v in values], 8)


def join(items: list[str], per_row: int) -> str:
    lines = [", ".join(items[i : i + per_row]) for i in range(0, len(items), per_row)]
    return "\n    " + ",\n    ".join(lines)


if __name__ == "__main__":
    main()

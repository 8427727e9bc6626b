#!/usr/bin/env python3
# Decodes a quantized checkpoint with numpy and the format's rules alone; the program must agree bit for bit.
# SPDX-License-Identifier: Apache-2.0
"""usage: decode_checkpoint.py BUILD_DIR"""
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MODEL = Path(__file__).resolve().parents[2] / "models" / "pocket-llama"


def e4m3_value(code):
    """1 sign, 4 exponent and 3 mantissa bits, bias 7, no infinity; exponent and mantissa all ones is NaN."""
    sign, exponent, mantissa = -1.0 if code & 0x80 else 1.0, (code >> 3) & 15, code & 7
    if code & 0x7F == 0x7F:
        return np.nan
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0**(exponent - 7))


E4M3 = np.array([e4m3_value(code) for code in range(256)], dtype=np.float32)


def read_safetensors(path):
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], content[end:][slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def decode(tensors, name):
    dtype, shape, data = tensors[name]
    if dtype == "F8_E4M3":
        scale = np.frombuffer(tensors[name.removesuffix(".weight") + ".weight_scale"][2], "<f4")[0]
        values = E4M3[np.frombuffer(data, np.uint8)] * scale
    elif dtype == "BF16":
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(data, "<f4")
    return values.reshape(shape)


def encode(values, scale):
    """Nearest code of value / scale, ties to the even code, by search in the table."""
    table = E4M3[:127].astype(np.float64)
    exact = np.abs(values.astype(np.float32) / np.float32(scale)).astype(np.float64)
    upper = np.searchsorted(table, exact).clip(1, 126)
    below, above = exact - table[upper - 1], table[upper] - exact
    codes = np.where((below < above) | ((below == above) & (upper % 2 == 1)), upper - 1, upper)
    return (codes | np.where(np.signbit(values), 0x80, 0)).astype(np.uint8)


def check(tensors, original, name, directory, tool):
    expected = decode(tensors, name)
    printed = subprocess.run([tool, directory, name], capture_output=True, check=True).stdout
    if printed != expected.astype("<f4").tobytes():
        yield f"{name}: the program's values differ"
    dtype, _, data = tensors[name]
    if dtype != "F8_E4M3":
        if name in original and tensors[name] != original[name]:
            yield f"{name}: is not quantized and yet changed"
        return
    before = decode(original, name)
    scale = np.frombuffer(tensors[name.removesuffix(".weight") + ".weight_scale"][2], "<f4")[0]
    if scale != np.abs(before).max() / np.float32(448):
        yield f"{name}: the scale is not amax / 448"
    if not np.array_equal(encode(before, scale).reshape(-1), np.frombuffer(data, np.uint8)):
        yield f"{name}: codes are not the nearest ones"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "quantized"
        subprocess.run([build / "octavo", "quantize", "--model_dir", MODEL, "--output_dir", directory,
                        "--calib_size", "2", "--calib_max_seq_length", "32", "--kv_cache_dtype", "fp8"],
                       check=True, capture_output=True)
        tensors = read_safetensors(directory / "model.safetensors")
        original = read_safetensors(MODEL / "model.safetensors")
        tool = build / "tests" / "decode_tool"
        problems = [problem for name in tensors for problem in check(tensors, original, name, directory, tool)]
    for problem in problems:
        print("FAILED", problem)
    quantized = sum(dtype == "F8_E4M3" for dtype, _, _ in tensors.values())
    print(f"{len(tensors)} tensors, {quantized} of them FP8: {'differences' if problems else 'equal bit for bit'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

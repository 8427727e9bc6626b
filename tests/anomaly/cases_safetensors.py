# S1-S23: malformed safetensors files and weights.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import struct

from case_table import BUILD, BUILD_QUANTIZED, GENERATE, QUANTIZE, Case
from tiny_model import HIDDEN, bf16, safetensors

FILE = "model.safetensors"
NORM = "model.norm.weight"


def content(data):
    return lambda models, folder: models["model"].write(FILE, data)


def header_text(edit):
    """The header's text changed, its data kept."""
    def make(models, folder):
        header, data = models["model"].weights()
        models["model"].write(FILE, safetensors(edit(json.dumps(header).encode()), data))
    return make


def entry(name=NORM, **fields):
    """Fields of one tensor's header entry replaced."""
    def make(models, folder):
        header, data = models["model"].weights()
        header[name] |= fields
        models["model"].write_weights(header, data)
    return make


def tensor(name=NORM, value=None):
    return lambda models, folder: models["model"].edit_tensor_map({name: value})


def add_entry(name, dtype, shape, content=b""):
    return tensor(name, (dtype, shape, content))


def poke(name, offset, value, model="model"):
    """Bytes of one tensor overwritten."""
    def make(models, folder):
        dtype, shape, old = models[model].tensors()[name]
        models[model].edit_tensor_map({name: (dtype, shape, old[:offset] + value + old[offset + len(value):])})
    return make


def swap(old, new):
    def edit(text):
        assert old in text, old
        return text.replace(old, new, 1)
    return header_text(edit)


def move(**offsets):
    """Data offsets of tensors of the tail replaced; the last is the final norm, 128 bytes."""
    def make(models, folder):
        header, data = models["model"].weights()
        end = len(data)
        for name, (begin, stop) in offsets.items():
            header[name.replace("__", ".")]["data_offsets"] = [end + begin, end + stop]
        models["model"].write_weights(header, data)
    return make


def cut(count):
    def make(models, folder):
        path = models["model"].file(FILE)
        os.truncate(path, path.stat().st_size - count)
    return make


def append(tail):
    def make(models, folder):
        with open(models["model"].file(FILE), "ab") as file:
            file.write(tail)
    return make


def many_entries(models, folder):
    entries = b",".join(b'"t%07d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(1_000_000))
    models["model"].write(FILE, safetensors(b"{" + entries + b"}", b""))


def all_on_one_range(models, folder):
    header = {f"t{i}": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} for i in range(10)}
    models["model"].write_weights(header, bytes(8))


def huge_tensor(models, folder):
    header, data = models["model"].weights()
    size = 2**32 + 5
    header["big"] = {"dtype": "U8", "shape": [size], "data_offsets": [len(data), len(data) + size]}
    models["model"].write_weights(header, data)
    path = models["model"].file(FILE)
    os.truncate(path, path.stat().st_size + size)


def nonfinite_manifest(models, folder, output):
    manifest = json.loads((folder / "out" / "octavo_manifest.json").read_text())
    expected = {"model.layers.1.mlp.down_proj.weight": {"count": 1, "first": 3}}
    if manifest["nonfinite_weights"] != expected:
        yield f"nonfinite_weights is {manifest['nonfinite_weights']}"


def zero_scale(models, folder, output):
    manifest = json.loads((folder / "out" / "octavo_manifest.json").read_text())
    if not any("mlp.up_proj" in warning for warning in manifest["warnings"]):
        yield f"the all-zero tensor is not listed: {manifest['warnings']}"


def s(row, what, make, message, code=3, command=BUILD, **more):
    return Case("S" + row, what, make, command, code, message, **more)


def header_cases():
    yield s("1", "empty file", content(b""), r"model\.safetensors: .*too small")
    yield s("1", "7 bytes", content(bytes(7)), r"model\.safetensors: .*too small")
    for length in (10**7,):
        yield s("2", f"header of {length}", content(struct.pack("<Q", length) + b"{}"),
                r"model\.safetensors: header length: header of 10000000 bytes does not fit in a file of 10 bytes")
    for length in (100_000_001, 2**63, 2**64 - 1, 2**64 - 8):
        yield s("3", f"header of {length}", content(struct.pack("<Q", length) + b"{}" + bytes(100)),
                rf"header length: expected at most 100000000 bytes, got {length}", megabytes=64)
    for what, old in (("no UTF-8", b"\xff"), ("overlong", b"\xc0\xaf"), ("lone surrogate", rb"\ud800")):
        yield s("4", what, swap(b"model.norm", old + b"model.norm"), r"model\.safetensors: 1:\d+: .*\(byte \d+\)")
    yield s("5", "no JSON", header_text(lambda text: b"hello"), r"model\.safetensors: 1:\d+: ")
    yield s("5", "truncated JSON", header_text(lambda text: text[:-9]), r"model\.safetensors: 1:\d+: ")
    yield s("5", "text behind", header_text(lambda text: text + b" x"), r"model\.safetensors: 1:\d+: ")
    yield s("5", "an array", header_text(lambda text: b"[]"), r"header: expected an object, got an array")
    yield s("6", "leading white space", header_text(lambda text: b" \n\t" + text + b"   "), r"MB of weights", 0)
    yield s("7", "duplicate tensor", swap(b'"lm_head.weight"', b'"model.norm.weight"'),
            r'duplicate key "model\.norm\.weight"')
    yield s("7", "duplicate dtype", swap(b'"dtype": "BF16"', b'"dtype": "F16", "dtype": "BF16"'),
            r'duplicate key "dtype"')
    yield s("7", "duplicate metadata", swap(b"{", b'{"__metadata__": {}, '), r'duplicate key "__metadata__"')
    yield s("17", "rank 9", entry(shape=[1] * 8 + [64]), r"model\.norm\.weight.*expected at most \d dimensions")
    for what, old in (("NUL", rb"\u0000"), ("newline", rb"\n"), ("ESC", rb"\u001b[31m"), ("path", b"../../x"),
                      ("right to left", rb"\u202e"), ("64 KiB", b"n" * 65536)):
        twice = b'"%s": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, ' % old
        yield s("17", "name with " + what, swap(b"{", b"{" + twice + twice), r'duplicate key "')
        yield s("17", "extra name with " + what, swap(b"{", b"{" + twice), r"MB of weights", 0)
    yield s("17", "empty name", add_entry("", "U8", [0]), r"MB of weights", 0)
    yield s("18", "1,000,000 entries", many_entries, r"tensors do not fit config\.json", cpu_s=5.0, megabytes=1024)
    nested = b"[" * 1_000_000
    for what, value in (("object", b'{"a": {}}'), ("number", b'{"a": 1}'), ("deep", b'{"a": ' + nested)):
        yield s("19", "metadata with " + what, swap(b'{"format": "pt"}', value),
                r"__metadata__: expected a string, got")
    yield s("19", "deep header", header_text(lambda text: b'{"a":' * 1_000_000), r"model\.safetensors: .*expected")


def range_cases():
    yield s("8", "overlap", move(model__norm__weight=(-130, -2)),
            r'tensor "model\.norm\.weight": data_offsets overlap the tensor before: expected to begin at 2')
    yield s("8", "ten tensors on one range", all_on_one_range, r"overlap the tensor before")
    yield s("9", "hole", move(model__norm__weight=(-126, 2)), r"leave a hole: expected to begin at \d+, got \d+")
    yield s("9", "first offset", entry("lm_head.weight", data_offsets=[1, 34816]), r"leave a hole: expected to begin at 0")
    yield s("9", "trailing bytes", append(b"x"), r"has 1 bytes after the last tensor")
    yield s("9", "trailing archive", append(b"PK\x03\x04" + bytes(60)), r"has 64 bytes after the last tensor")
    for count in (1, 2, 4096):
        yield s("10", f"{count} bytes short", cut(count), rf"is {count} bytes short.*incomplete download")
    yield s("10", "25 MB short", move(model__norm__weight=(-128, 25_000_000)), r"is 25000000 bytes short")
    yield s("11", "begin behind end", entry(data_offsets=[9, 2]), r"data_offsets end before they begin: \[9, 2\]")
    for what, value in (("-1", b"-1"), ("1.5", b"1.5"), ("1e3", b"1e3"), ('"16"', b'"16"'), ("2^64", b"18446744073709551616")):
        yield s("11", f"offset {what}", swap(b'"data_offsets": [0', b'"data_offsets": [' + value),
                r"lm_head\.weight.*expected an offset \(an integer from 0\), got")
        yield s("11", f"dimension {what}", swap(b'"shape": [272', b'"shape": [' + value),
                r"lm_head\.weight.*expected a dimension \(an integer from 0\), got")
    yield s("11", "dimension 2^63", swap(b'"shape": [272', b'"shape": [9223372036854775808'), r"dimension 9223372036854775808 is too large")
    yield s("11", "three offsets", entry(data_offsets=[0, 1, 2]), r"expected two offsets, got")
    yield s("12", "product overflows", entry(shape=[2**40, 2**40]), r"model\.norm\.weight.*is too large")
    yield s("12", "bytes overflow", entry(shape=[2**60]), r"model\.norm\.weight.*is too large")
    yield s("12", "part of a byte", entry(dtype="F4", shape=[3]), r"does not fill whole bytes")
    yield s("13", "length is not the shape's", entry(shape=[HIDDEN + 1]), r"expected 130 bytes for BF16 \[65\], got 128")
    for field in ("dtype", "shape", "data_offsets"):
        yield s("13", f"no {field}", swap(f'"{field}"'.encode(), f'"{field}s"'.encode()), rf'unknown field "{field}s"')


def type_cases():
    yield s("14", "unknown dtype", entry(dtype="F12"), r'model\.norm\.weight.*"F12" is not supported; supported: F32, BF16', 4)
    for dtype, width in (("F64", 8), ("F8_E5M2", 1), ("F8_E8M0", 1), ("U16", 2)):
        yield s("14", dtype, tensor(NORM, (dtype, [HIDDEN], bytes(width * HIDDEN))),
                rf'model\.norm\.weight.*"{dtype}" is not supported; supported: ', 4)
    yield s("14", "F4", tensor(NORM, ("F4", [HIDDEN], bytes(HIDDEN // 2))), r'"F4" is not supported; supported: ', 4)
    for dtype, width in (("I32", 4), ("I64", 8), ("U8", 1)):
        yield s("15", dtype, tensor(NORM, (dtype, [HIDDEN], bytes(width * HIDDEN))),
                r"model\.norm\.weight: expected a float type, got")
    yield s("16", "rank 0", tensor(NORM, ("BF16", [], bytes(2))), r"model\.norm\.weight: expected \[64\], got \[\]")
    yield s("16", "zero dimension", tensor(NORM, ("BF16", [0], b"")), r"model\.norm\.weight: expected \[64\], got \[0\]")
    yield s("16", "empty tensor shares an offset", add_entry("a", "U8", [0]), r"MB of weights", 0)
    yield s("20", "more than 4 GiB, sparse", huge_tensor, r"MB of weights", 0)


def value_cases():
    name = "model.layers.1.mlp.down_proj.weight"
    for what, value in (("NaN", b"\xc0\x7f"), ("Inf", b"\x80\x7f"), ("-Inf", b"\x80\xff")):
        yield s("21", what, poke(name, 6, value), rf"model\.safetensors: {name}: expected finite values, got 1 that are not, the first "
                r"at index 3", command=QUANTIZE)
    yield s("21", "NaN kept", poke(name, 6, b"\xc0\x7f"), r"linears quantized", 0, (*QUANTIZE, "--allow_nonfinite"),
            after=nonfinite_manifest)
    yield s("22", "zero tensor", tensor("model.layers.0.mlp.up_proj.weight", ("BF16", [128, 64], bytes(128 * 64 * 2))),
            r"model\.layers\.0\.mlp\.up_proj\.weight: all weights are zero", 0, QUANTIZE, after=zero_scale)
    yield s("22", "zero row", poke("model.layers.0.mlp.up_proj.weight", 0, bytes(128)), r"linears quantized", 0, QUANTIZE)
    for code in (b"\x7f", b"\xff"):
        yield s("23", f"E4M3 NaN {code.hex()}", poke(name, 5, code, "quantized"),
                rf"{name}: expected finite values, got 1 that are not, the first at index 5", command=BUILD_QUANTIZED,
                uses=("quantized",))


def cases():
    for table in (header_cases, range_cases, type_cases, value_cases):
        yield from table()

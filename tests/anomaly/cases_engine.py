# E1-E12: engine directories.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import struct
import subprocess

from case_table import BUILD, GENERATE_ENGINE, QUANTIZE, Case, Scenario, nothing
from tiny_model import REMOVE, Model, copy_model

RANK = "rank0.engine"


def e(row, what, make, message, code=3, command=GENERATE_ENGINE, **more):
    return Case("E" + row, what, make, command, code, message, **({"uses": ("engine",)} | more))


def rank(edit):
    """The rank file's bytes changed."""
    def make(models, folder):
        path = models["engine"].file(RANK)
        path.write_bytes(edit(path.read_bytes()))
    return make


def remove(name):
    return lambda models, folder: models["engine"].file(name).unlink()


def config(**fields):
    return lambda models, folder: models["engine"].edit_json("config.json", **fields)


def at(offset, content):
    return rank(lambda data: data[:offset] + content + data[offset + len(content):])


def cases_of_files():
    yield e("1", "no manifest", remove("config.json"), r"engine/config\.json: cannot open: No such file")
    yield e("1", "no rank file", remove(RANK), r"engine/rank0\.engine: expected a rank file, got none")
    yield e("1", "extra rank file", lambda models, folder: models["engine"].write("rank1.engine", b"x"), r"engine/rank1\.engine: config\.json lists 1 rank file")
    yield e("1", "two ranks", config(octavo_engine__ranks=2), r"config\.json: octavo_engine\.ranks: expected tp_size × pp_size, 1, got 2")
    for value in (0, -1, "1", 1.5, 2**63, None):
        yield e("1", f"ranks {value!r}", config(octavo_engine__ranks=value), r"config\.json: octavo_engine\.ranks: expected an integer in \[1, 1024\]")
    yield e("2", "of another build", config(octavo_engine__build_id="0" * 16), r"build_id: expected 0000000000000000 as in config\.json, got [0-9a-f]{16}: files of two builds are mixed")
    yield e("4", "empty", rank(lambda data: b""), r"rank0\.engine: too small for an engine file: 0 bytes")
    yield e("4", "31 bytes", rank(lambda data: data[:31]), r"rank0\.engine: too small for an engine file: 31 bytes")
    yield e("4", "half", rank(lambda data: data[:len(data) // 2]), r"rank0\.engine: payload_bytes: expected at most \d+, the bytes behind the header")
    for count in (1, 8, 1000):
        yield e("4", f"short by {count}", rank(lambda data, count=count: data[:-count]), r"rank0\.engine: expected \d+ bytes, got \d+: the file is truncated")
    yield e("4", "extended", rank(lambda data: data + b"x"), r"rank0\.engine: expected \d+ bytes, got \d+: the file is longer than its header says")
    yield e("4", "zeros", rank(lambda data: bytes(len(data))), r"rank0\.engine: magic: not an Octavo engine file")
    yield e("4", "pickle", rank(lambda data: b"\x80\x04" + data), r"rank0\.engine: magic: not an Octavo engine file")
    for version in (0, 2, 2**32 - 1):
        yield e("5", f"rank file version {version}", at(8, struct.pack("<I", version)), rf"rank0\.engine: format version: expected 1, got {version}; build the engine again", 4)
    for version in (0, 2):
        yield e("5", f"manifest version {version}", config(octavo_engine__format_version=version), rf"config\.json: octavo_engine\.format_version: this program reads version 1, got {version}", 4)
    yield e("4", "header length", at(16, struct.pack("<Q", 2**63)), r"rank0\.engine: header length: expected at most")


def cases_of_manifest():
    for field in ("vocab_size", "num_layers", "max_batch_size", "max_num_tokens", "max_seq_len", "tokens_per_block", "head_dim"):
        for value in ("8", -1, 0, 2**62, 1.5, None):
            yield e("7", f"{field} {value!r}", config(**{"engine__" + field: value}), rf"engine/config\.json: {field}: expected an integer in")
        yield e("7", f"{field} missing", config(**{"engine__" + field: REMOVE}), rf"engine/config\.json: {field}: missing")
    for field, value in (("vocab_size", 300), ("num_layers", 3), ("max_seq_len", 400), ("tokens_per_block", 16), ("head_dim", 32), ("num_kv_heads", 1),
                         ("kv_cache_dtype", "bfloat16"), ("kv_cache_dtype", "x"), ("max_batch_size", 5), ("max_input_len", 3), ("eos_token_ids", [3]), ("dtype", "x")):
        yield e("7", f"{field} changed to {value!r}", config(**{"engine__" + field: value}), r"engine/config\.json: octavo_engine\.build_id: expected [0-9a-f]{16}, got [0-9a-f]{16}: the file was changed after the build")
    yield e("7", "no engine object", config(engine=REMOVE), r"engine/config\.json: engine: missing")
    yield e("7", "list for the manifest", lambda models, folder: models["engine"].write("config.json", "[]"), r"engine/config\.json: expected an object")
    yield e("7", "duplicate key", lambda models, folder: models["engine"].edit_text("config.json", '"ranks"', '"ranks": 1, "ranks"'), r'config\.json: \d+:\d+: duplicate key "ranks"')
    yield e("7", "tokenizer replaced", lambda models, folder: models["engine"].edit_json("tokenizer.json", model__vocab__the=260),
            r"engine/tokenizer\.json: checksum does not match: the file was changed after the build")
    yield e("7", "tokenizer missing", remove("tokenizer.json"), r"engine/tokenizer\.json: expected a file, got none")


def left_over(models, folder):
    (folder / ".out.tmp.999999").mkdir()
    (folder / ".out.tmp.999999" / "model.safetensors").write_bytes(b"x" * 100)


def no_left_over(models, folder, output):
    names = sorted(os.listdir(folder))
    if any(name.startswith(".out") for name in names):
        yield f"left over: {names}"


def flip_bits(fixtures, folder):
    """One bit in each of many places of every file; the payload's padding is checked as well."""
    copy_model(fixtures.folder / "engine", folder / "engine")
    for name, count in ((RANK, 60), ("config.json", 20), ("tokenizer.json", 10)):
        path = folder / "engine" / name
        whole = path.read_bytes()
        for i in range(count):
            position = i * (len(whole) - 1) // (count - 1)
            broken = bytearray(whole)
            broken[position] ^= 1 << (i % 8)
            path.write_bytes(broken)
            done = subprocess.run([fixtures.octavo, *GENERATE_ENGINE], cwd=folder, capture_output=True, timeout=60)
            if done.returncode not in (3, 4):
                yield f"{name}: bit {i % 8} of byte {position}: exit {done.returncode}: {done.stderr[-200:]!r}"
        path.write_bytes(whole)


def exported_again(fixtures, folder):
    """Tensors that are not quantized come out as they went in, whatever the writer did to the file."""
    before, after = Model(fixtures.folder / "model").tensors(), Model(fixtures.folder / "quantized").tensors()
    for name, value in before.items():
        if name not in after:
            yield f"{name} is missing"
        elif after[name][0] != "F8_E4M3" and after[name] != value:
            yield f"{name} changed"
        elif after[name][1] != value[1]:
            yield f"{name} has another shape"


def cases():
    yield from cases_of_files()
    yield from cases_of_manifest()
    yield Case("E8", "folders of a killed job", left_over, BUILD, 0, r"MB of weights", check_left=False, after=no_left_over)
    yield Scenario("E3", "flipped bits", lambda fixtures, folder: list(flip_bits(fixtures, folder)))
    yield Scenario("E12", "what is not quantized stays", lambda fixtures, folder: list(exported_again(fixtures, folder)))

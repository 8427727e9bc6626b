# D1-D17: calibration sets and the numbers of the quantizer.
# SPDX-License-Identifier: Apache-2.0
import gzip
import json
import struct

from case_table import BUILD_QUANTIZED, QUANTIZE, Case
from cases_shards import scale
from tiny_model import HIDDEN, Model, bf16

CALIBRATE = (*QUANTIZE, "--calib_dataset", "calib.jsonl")
GOOD = [json.dumps({"text": f"the text number {i}"}) for i in range(20)]


def lines(*changed, good=GOOD, end="\n"):
    """Line 17 and what follows it replaced."""
    content = "\n".join([*good[:16], *changed, *good[16:]]) + end
    return data(content.encode())


def data(content, name="calib.jsonl"):
    return lambda models, folder: (folder / name).write_bytes(content)


def tensors(**changes):
    """`name=value` fills a BF16 tensor with one value."""
    def make(models, folder):
        model = models["model"]
        old = model.tensors()
        for name, value in changes.items():
            name = name.replace("__", ".")
            dtype, shape, content = old[name]
            old[name] = (dtype, shape, bf16([value]) * (len(content) // 2))
        model.write_tensors(old)
    return make


def odd_sizes(models, folder):
    """An inner size that no vector width divides."""
    model = models["model"]
    inner = 37
    changed = {}
    for name, (dtype, shape, content) in model.tensors().items():
        if "gate_proj" in name or "up_proj" in name:
            changed[name] = (dtype, [inner, HIDDEN], content[:2 * inner * HIDDEN])
        if "down_proj" in name:
            changed[name] = (dtype, [HIDDEN, inner], content[:2 * inner * HIDDEN])
    model.edit_tensor_map(changed)
    model.edit_json("config.json", intermediate_size=inner)


def scales_are_valid(models, folder, output):
    for name, (dtype, shape, content) in Model(folder / "out").tensors().items():
        if not name.endswith("_scale"):
            continue
        value = struct.unpack("<f", content)[0]
        if not 1.17549435e-38 <= value < 1e38:
            yield f"{name} is {value}"


def manifest_has(path, value):
    def after(models, folder, output):
        at = json.loads((folder / "out" / "octavo_manifest.json").read_text())
        for key in path.split("."):
            at = at[key]
        if at != value:
            yield f"manifest {path}: expected {value}, got {at}"
    return after


def no_clip_warning(models, folder, output):
    if "clipped" in output:
        yield f"the calibration's own values are reported as clipped: {output[-400:]}"


def d(row, what, make, message, code=3, command=CALIBRATE, **more):
    return Case("D" + row, what, make, command, code, message, **more)


def file_cases():
    for what, content in (("empty", b""), ("blank lines", b"\n \n\r\n"), ("empty texts", b'{"text": ""}\n{"text": ""}\n')):
        yield d("1", what, data(content), r"calib\.jsonl: no samples")
    yield d("1", "missing", lambda models, folder: None, r"calib\.jsonl: cannot open: No such file")
    yield d("1", "directory", lambda models, folder: (folder / "calib.jsonl").mkdir(), r"calib\.jsonl: expected a regular file, got a directory")
    for what, line, message in (("broken", '{"text": "a', r"1:\d+: "), ("a list", "[]", "expected an object"), ("a number", "7", "expected an object"),
                                ("no text", '{"txt": "a"}', "text: missing"), ("text null", '{"text": null}', "text: expected a string, got null"),
                                ("text a list", '{"text": ["a"]}', "text: expected a string"), ("text a number", '{"text": 3}', "text: expected a string, got 3"),
                                ("duplicate key", '{"text": "a", "text": "b"}', 'duplicate key "text"')):
        all_of_it = (*CALIBRATE, "--calib_size", "20")
        yield d("2", what, lines(line), rf"calib\.jsonl: line 17: .*{message}", command=all_of_it)
        yield d("2", what + ", skipped", lines(line), r"linears quantized", 0, (*all_of_it, "--skip_bad_lines", "1"),
                after=manifest_has("calibration.skipped_lines", 1))
    yield d("2", "two bad, one skipped", lines("[", "["), r"calib\.jsonl: line 17: .*2 malformed lines: 17, 18", command=(*CALIBRATE, "--calib_size", "20", "--skip_bad_lines", "1"))
    yield d("3", "line of 65 MiB", data(b'{"text": "' + b"a" * (65 << 20) + b'"}\n'), r"calib\.jsonl: line 1: expected at most 67108864 bytes a line", megabytes=512)
    for what, make in (("no newline at the end", lines(end="")), ("CRLF", lines(good=[line + "\r" for line in GOOD])),
                       ("byte order mark", data(b"\xef\xbb\xbf" + GOOD[0].encode()))):
        yield d("3", what, make, r"linears quantized", 0)
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        yield d("3", encoding, data(GOOD[0].encode(encoding)), r"calib\.jsonl: expected UTF-8 text, got UTF-16, UTF-32 or binary data")
    yield d("3", "NUL", lines('{"text": "a\0b"}'), r"calib\.jsonl: line 17: .*NUL", command=(*CALIBRATE, "--calib_size", "20"))
    yield d("4", "gzip", data(gzip.compress(GOOD[0].encode())), r"calib\.jsonl: compressed with gzip; expected plain text", 4)
    yield d("4", "zip bomb's start", data(b"PK\x03\x04" + bytes(100)), r"calib\.jsonl: compressed with zip", 4)
    yield d("4", "Parquet", data(b"PAR1" + bytes(100)), r"calib\.jsonl: a Parquet file", 4)
    yield d("5", "fewer than asked", data(GOOD[0].encode()), r"1 samples, fewer than the 2 asked for.*linears quantized", 0, after=manifest_has("calibration.samples", 1))
    yield d("5", "cut", data(json.dumps({"text": "x y " * 100}).encode()), r"linears quantized", 0, after=manifest_has("calibration.truncated_samples", 1))
    yield d("6", "all the same", data(b"\n".join([GOOD[0].encode()] * 5)), r"low diversity: 1 distinct samples.*linears quantized", 0, (*CALIBRATE, "--calib_size", "5"))
    yield d("6", "one token each", data(b'{"text": "a"}\n{"text": "b"}\n'), r"low diversity.*linears quantized", 0)


def number_cases():
    good = data("\n".join(GOOD).encode())
    def with_good(make):
        return lambda models, folder: (good(models, folder), make(models, folder))
    yield d("8", "activations overflow", with_good(tensors(model__layers__1__input_layernorm__weight=3e38)),
            r"model\.layers\.1\.self_attn\S*: \S+ has \d+ values that are not finite in calibration sample 0")
    yield d("8", "NaN in an early weight", with_good(tensors(model__layers__0__mlp__up_proj__weight=float("nan"))),
            r"model\.safetensors: model\.layers\.0\.mlp\.up_proj\.weight: expected finite values, got 8192 that are not, the first at index 0")
    yield d("9", "never activated", with_good(tensors(model__layers__0__mlp__up_proj__weight=0.0)),
            r"model\.layers\.0\.mlp\.down_proj: never activated in calibration; its scale is 1", 0, after=scales_are_valid)
    yield d("10", "nothing is clipped by its own maximum", good, r"linears quantized", 0, after=no_clip_warning)
    yield d("11", "subnormal weights", with_good(tensors(model__layers__0__mlp__up_proj__weight=1e-39)), r"linears quantized", 0, after=scales_are_valid)
    yield d("11", "smallest normal weights", with_good(tensors(model__layers__0__mlp__up_proj__weight=1.2e-38)), r"linears quantized", 0, after=scales_are_valid)
    yield d("11", "huge weights of an unused row", with_good(lambda models, folder: models["model"].edit_tensor_map(
        {"lm_head.weight": ("BF16", [272, 64], bf16([3e38]) * (272 * 64))})), r"linears quantized", 0, (*CALIBRATE, "--quantize_lm_head"), after=scales_are_valid)
    yield d("15", "inner size 37", with_good(odd_sizes), r"linears quantized", 0, after=scales_are_valid)
    yield Case("D17", "unset scale", scale(-3.4028234663852886e38), BUILD_QUANTIZED, 3, r"weight_scale: expected finite positive scales, got -3\.4", uses=("quantized",))
    for pattern, code, message in (("*", 2, r"--exclude_modules leaves no linear to quantize"), ("nothing*", 0, r'"nothing\*" matches no module')):
        yield d("9", f"exclude {pattern}", good, message, code, (*CALIBRATE, "--exclude_modules", pattern))


def quality_cases():
    budget = (*CALIBRATE, "--max_ppl_increase", "50%", "--quality_context", "16")
    good = data("\n".join(GOOD).encode())
    yield d("2", "held-out text, broken", lines('{"text": "a'), r"calib\.jsonl: line 17: ", command=budget)
    yield d("2", "held-out text, broken and skipped", lines('{"text": "a'), r"held-out tokens: 16-bit .*budget 50\.000 %", 0,
            (*budget, "--skip_bad_lines", "1"))
    yield d("1", "no held-out text behind the samples", good, r"--calib_size 20 leaves none of the 20 documents of --calib_dataset as held-out text", 2,
            (*budget, "--calib_size", "20"))
    yield d("1", "no held-out text at all", lambda models, folder: None, r"--max_ppl_increase: needs held-out text: give --quality_dataset", 2,
            (*QUANTIZE, "--max_ppl_increase", "1%"))
    yield d("1", "held-out text missing", good, r"heldout\.txt: cannot open: No such file", command=(*budget, "--quality_dataset", "heldout.txt"))
    yield d("5", "held-out text below a window", good, r"the text has \d+ tokens, fewer than one window of 401", command=(*budget, "--quality_context", "400", "--quality_tokens", "300"))
    yield d("8", "activations overflow in a scheme without calibration", lambda models, folder: (
        good(models, folder), tensors(model__layers__1__input_layernorm__weight=3e38)(models, folder)),
        r"model\.layers\.1\.self_attn\S*: \S+ has \d+ values that are not finite in calibration sample 0", command=(*CALIBRATE, "--qformat", "fp8_pc_pt"))


def cases():
    yield from file_cases()
    yield from number_cases()
    yield from quality_cases()

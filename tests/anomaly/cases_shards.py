# S24-S33: scales, sharded checkpoints and folders that hold something else.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import struct

from case_table import BUILD, BUILD_QUANTIZED, GENERATE, QUANTIZE, Case
from cases_safetensors import s, tensor

INDEX = "model.safetensors.index.json"
SCALE = "model.layers.0.mlp.up_proj.weight_scale"


def scale(value, shape=None, name=SCALE):
    content = ("F32", shape or [], struct.pack("<f", value) * max(1, (shape or [1])[0]))
    return lambda models, folder: models["quantized"].edit_tensor_map({name: content})


def drop(name):
    return lambda models, folder: models["quantized"].edit_tensor_map({name: None})


def weight_map(value, tensor_name="lm_head.weight"):
    """One value of the index replaced."""
    def make(models, folder):
        model = models["model"]
        model.shard()
        index = json.loads(model.file(INDEX).read_text())
        index["weight_map"][tensor_name] = value
        model.write(INDEX, json.dumps(index))
        (folder / "outside.safetensors").write_bytes(model.file("model-00001-of-00002.safetensors").read_bytes())
    return make


def sharded(edit):
    def make(models, folder):
        models["model"].shard()
        edit(models["model"], folder)
    return make


def special_shard(put):
    """The index names a file that `put` makes."""
    def make(models, folder):
        weight_map("odd.safetensors")(models, folder)
        put(models["model"].file("odd.safetensors"), folder)
    return make


def index(**fields):
    return sharded(lambda model, folder: model.edit_json(INDEX, **fields))


def twice(model, folder):
    first, second = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    tensors = model.tensors(second)
    name = next(iter(model.tensors(first)))
    model.write_tensors(tensors | {name: model.tensors(first)[name]}, second)


def extra(model, folder):
    shard = "model-00001-of-00002.safetensors"
    model.write_tensors(model.tensors(shard) | {"extra": ("U8", [0], b"")}, shard)


def both(models, folder):
    content = models["model"].file("model.safetensors").read_bytes()
    models["model"].shard()
    models["model"].write("model.safetensors", content)
    models["model"].write("consolidated.safetensors", content)


def instead(**files):
    """The weights replaced by other files."""
    def make(models, folder):
        models["model"].file("model.safetensors").unlink()
        for name, content in files.items():
            models["model"].write(name.replace("__", "."), content)
    return make


def rename_all(edit):
    def make(models, folder):
        model = models["model"]
        model.write_tensors({edit(name): value for name, value in model.tensors().items()})
    return make


def odd_path(models, folder):
    os.rename(models["model"].path, os.fsencode(folder) + b"/model\xff\xfe")


def scale_cases():
    for value, shown in ((0.0, "0"), (-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf"), (1e-40, "1e-40"), (1e38, "1e38")):
        yield s("24", f"scale {shown}", scale(value), rf"{SCALE}: expected finite positive scales, got ",
                command=BUILD_QUANTIZED, uses=("quantized",))
    yield s("24", "two scales", scale(1.0, [2]), rf"{SCALE}: expected float scales of shape \[\], got float32 \[2\]",
            command=BUILD_QUANTIZED, uses=("quantized",))
    for name in (SCALE, SCALE.replace("weight_scale", "input_scale")):
        yield s("24", "missing scale", drop(name), rf"{name}: expected a scale, got none",
                command=BUILD_QUANTIZED, uses=("quantized",))
    yield s("24", "missing K scale", drop("model.layers.1.self_attn.k_proj.k_scale"),
            r"model\.layers\.1\.self_attn\.k_proj\.k_scale: .*octavo quantize", 4, BUILD_QUANTIZED, uses=("quantized",))
    yield s("24", "negative V scale", scale(-1.0, name="model.layers.1.self_attn.v_proj.v_scale"),
            r"v_proj\.v_scale: expected finite positive scales, got -1", command=BUILD_QUANTIZED, uses=("quantized",))
    yield s("24", "integer scale", lambda models, folder: models["quantized"].edit_tensor_map({SCALE: ("I32", [], bytes(4))}),
            rf"{SCALE}: expected float scales of shape \[\], got int32", command=BUILD_QUANTIZED, uses=("quantized",))


def shard_cases():
    where = r"model\.safetensors\.index\.json: weight_map\.lm_head\.weight: expected the plain name of a file"
    for value in ("/etc/hostname", "../outside.safetensors", "a/b.safetensors", "a\0b.safetensors", "", ".", ".."):
        yield s("26", f"shard {value!r}", weight_map(value), where)
    for value in (1, None, ["a"], {}):
        yield s("26", f"shard {value!r}", weight_map(value), r"weight_map\.lm_head\.weight: expected a string, got")
    yield s("26", "link out", special_shard(lambda path, folder: path.symlink_to("../outside.safetensors")), r"odd\.safetensors: ")
    yield s("26", "directory", special_shard(lambda path, folder: path.mkdir()), r"odd\.safetensors: expected a regular file")
    yield s("26", "FIFO", special_shard(lambda path, folder: os.mkfifo(path)), r"odd\.safetensors: expected a regular file")
    yield s("26", "device", special_shard(lambda path, folder: path.symlink_to("/dev/zero")), r"odd\.safetensors: ")
    yield s("27", "shard missing", sharded(lambda model, folder: model.file("model-00002-of-00002.safetensors").unlink()),
            r"model-00002-of-00002\.safetensors: cannot open: No such file")
    yield s("27", "not in its shard", weight_map("model-00001-of-00002.safetensors", "nowhere.weight"),
            r'weight_map\.nowhere\.weight: expected in "model-00001-of-00002\.safetensors", which does not hold it')
    yield s("27", "not in the index", sharded(extra), r'tensor "extra" is not in the index and is ignored.*MB of weights', 0)
    yield s("27", "in two shards", sharded(twice), r"stands in two shards; the index names")
    yield s("27", "wrong total_size", index(metadata__total_size=17), r"metadata\.total_size: expected \d+ \(the bytes of the tensors\), got 17")
    yield s("27", "total_size a text", index(metadata__total_size="17"), r'metadata\.total_size: expected an integer')
    yield s("27", "no weight_map", index(weight_map={}), r"weight_map: expected at least one tensor")
    yield s("27", "weight_map a list", index(weight_map=[]), r"weight_map: expected an object")
    yield s("28", "single and sharded", both, r"the former is read.*MB of weights", 0)


def folder_cases():
    for name in ("pytorch_model.bin", "model.pt", "model.gguf"):
        yield s("29", name, instead(**{name.replace(".", "__"): b"\x80\x04"}), rf'only safetensors checkpoints are supported, got "{name}"', 4)
    yield s("29", "no weights", instead(), r"holds no model\.safetensors and no model\.safetensors\.index\.json")
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 16003616\n"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        command = GENERATE if name == "tokenizer.json" else BUILD
        for what, content in (("LFS pointer", lfs), ("HTML page", b"<!DOCTYPE html><html></html>")):
            yield s("30", f"{name} is an {what}", lambda models, folder, name=name, content=content: models["model"].write(name, content),
                    rf"{name}.*looks like an? {'Git LFS' if 'LFS' in what else 'HTML'}", command=command)
    yield s("32", "missing tensor", tensor("model.norm.weight", None), r"1 tensors do not fit config\.json: model\.norm\.weight: expected \[64\], got none")
    yield s("32", "wrong shape", tensor("model.norm.weight", ("BF16", [32], bytes(64))), r"model\.norm\.weight: expected \[64\], got \[32\]")
    yield s("32", "transposed", tensor("model.layers.0.mlp.up_proj.weight", ("BF16", [64, 128], bytes(2 * 64 * 128))),
            r"up_proj\.weight: expected \[128, 64\], got \[64, 128\]")
    yield s("32", "no prefix", rename_all(lambda name: name.removeprefix("model.")), r"20 tensors do not fit config\.json: .*; …$")
    yield s("33", "directory for the weights", lambda models, folder: (instead()(models, folder), models["model"].file("model.safetensors").mkdir()),
            r"model\.safetensors: expected a regular file")
    yield s("33", "file for the folder", lambda models, folder: (folder / "x").write_text("x"), r"x: ", command=("build", "--checkpoint_dir", "x", "--output_dir", "{out}"))
    yield s("33", "long path", lambda models, folder: None, r"cannot open: File name too long",
            command=("build", "--checkpoint_dir", "x" * 5000, "--output_dir", "{out}"))
    yield s("33", "path without UTF-8", odd_path, r"MB of weights", 0, ("build", "--checkpoint_dir", b"model\xff\xfe".decode(errors="surrogateescape"), "--output_dir", "{out}"), check_left=False)


def cases():
    for table in (scale_cases, shard_cases, folder_cases):
        yield from table()

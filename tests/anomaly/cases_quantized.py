# C13, S23-S25: descriptions and scales of quantized checkpoints of every scheme and dialect.
# SPDX-License-Identifier: Apache-2.0
import struct

from case_table import Case

UP = "model.layers.0.mlp.up_proj"
SCALE = UP + ".weight_scale"
FIXTURES = {"by_channel": "fp8_pc_pt", "by_block": "fp8_block", "by_group": "int4_awq"}  # folder → --qformat
COMPRESSED = {"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"]}
WEIGHTS = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True, "dynamic": False}
INPUTS = {"num_bits": 8, "type": "float", "strategy": "token", "symmetric": True, "dynamic": True}


def build(model):
    return ("build", "--checkpoint_dir", model, "--output_dir", "{out}", "--max_batch_size", "4")


def described(block):
    """A 16-bit folder whose config.json claims this."""
    return lambda models, folder: models["model"].edit_json("config.json", quantization_config=block)


def config(row, what, block, message, code):
    return Case(row, what, described(block), build("model"), code, message)


def group(weights=None, inputs=INPUTS, **more):
    one = {"targets": ["Linear"], "weights": dict(WEIGHTS, **(weights or {})), "input_activations": inputs}
    return dict(COMPRESSED, config_groups={"group_0": dict(one, **more)})


def compressed_cases():
    for what, block, message, code in (
            ("5 bits", group({"num_bits": 5}), r"weights\.num_bits: expected 8-bit float", 4),
            ("weights made at run time", group({"dynamic": True}), r"weights\.dynamic: expected static weights", 4),
            ("zero points", group({"symmetric": False}), r"weights\.symmetric: expected true", 4),
            ("strategy", group({"strategy": "tensor_group"}), r"weights\.strategy: expected tensor, channel, group or block", 4),
            ("block of one size", group({"strategy": "block", "block_structure": [128]}), r"block_structure: expected rows and columns", 3),
            ("block of zero", group({"strategy": "block", "block_structure": [0, 128]}), r"block_structure.*expected an integer in \[1, ", 3),
            ("group of no size", group({"strategy": "group"}), r"weights\.group_size: missing", 3),
            ("8-bit integer inputs", group(inputs=dict(INPUTS, type="int")), r"input_activations\.num_bits: expected 8-bit float inputs", 4),
            ("codes beside 16-bit weights", group(inputs=dict(INPUTS, strategy="group", group_size=64)), r"input_activations: expected groups as wide", 4),
            ("no targets", group(targets=None), r"group_0\.targets: (missing|expected)", 3),
            ("targets a number", group(targets=[3]), r"group_0\.targets.*expected a string, got 3", 3),
            ("groups a list", dict(COMPRESSED, config_groups=[]), r"config_groups: expected an object", 3),
            ("format", dict(group(), format="marlin-24"), r'format: "marlin-24" is not supported; supported: float-quantized', 4),
            ("cache scheme", dict(group(), kv_cache_scheme={"num_bits": 4, "type": "int"}), r"kv_cache_scheme: expected static 8-bit float", 4),
            ("not an expression", dict(group(), ignore=["re:("]), r"re:\(: not a regular expression", 3),
            ("an expression without end", dict(group(), ignore=["re:(.|..)+[!?]$"]), r"backtracks too far", 3)):
        yield config("C13", "compressed-tensors: " + what, block, message, code)


def other_method_cases():
    fp8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    modelopt = {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}
    for what, block, message, code in (
            ("fp8: format", dict(fp8, fmt="e5m2"), r'fmt: "e5m2" is not supported; supported: e4m3', 4),
            ("fp8: scheme", dict(fp8, activation_scheme="lazy"), r'activation_scheme: "lazy" is not supported; supported: dynamic, static', 4),
            ("fp8: block", dict(fp8, weight_block_size=[128]), r"weight_block_size: expected rows and columns", 3),
            ("fp8: block of a text", dict(fp8, weight_block_size="128"), r"weight_block_size: expected", 3),
            ("fp8: huge block", dict(fp8, weight_block_size=[2**40, 128]), r"weight_block_size.*expected an integer in", 3),
            ("fp8: sixteen-bit weights", fp8, r"tensors do not fit .*expected float8_e4m3", 3),
            ("modelopt: zero points", dict(modelopt, has_zero_point=True), r"has_zero_point: expected false", 4),
            ("modelopt: group size", dict(modelopt, group_size=-1), r"group_size: expected an integer in", 3),
            ("modelopt: no layers", dict(modelopt, quant_algo="MIXED_PRECISION"), r"quantized_layers: missing", 3),
            ("modelopt: layer without an algorithm", dict(modelopt, quant_algo="MIXED_PRECISION", quantized_layers={UP: {}}),
             r"quant_algo: missing", 3),
            ("modelopt: clamp of one end", dict(modelopt, clamp_val=[1]), r"clamp_val: expected a lower and an upper end", 3),
            ("modelopt: clamp turned round", dict(modelopt, clamp_val=[2, 1]), r"clamp_val: expected a lower end below", 3)):
        yield config("C13", what, block, message, code)


def edit(model, tensors):
    return lambda models, folder: models[model].edit_tensor_map(tensors(models[model].tensors()))


def poked(value, index, name=SCALE):
    def change(tensors):
        dtype, shape, content = tensors[name]
        return {name: (dtype, shape, content[:4 * index] + struct.pack("<f", value) + content[4 * index + 4:])}
    return change


def broken(row, what, model, tensors, message, code=3):
    return Case(row, f"{FIXTURES[model]}: {what}", edit(model, tensors), build(model), code, message, uses=(model,))


def scale_cases():
    for model in FIXTURES:
        for value in (0.0, -1.0, float("nan"), float("inf"), 1e-40):
            index = 0 if model == "by_block" else 5
            yield broken("S24", f"scale {value}", model, poked(value, index),
                         rf"{SCALE}: expected finite positive scales, got .* at index {index}")
        yield broken("S24", "missing", model, lambda tensors: {SCALE: None}, rf"{SCALE}: expected a scale, got none")
        yield broken("S24", "one too many", model, lambda tensors: {SCALE: ("F32", [7], bytes(28))},
                     rf"{SCALE}: expected float scales of shape .*, got float32 \[7\]")
        yield broken("S24", "integers", model, lambda tensors: {SCALE: ("I32", *tensors[SCALE][1:])},
                     rf"{SCALE}: expected float scales .*, got int32")
        yield broken("S24", "under two names", model, lambda tensors: {SCALE + "_inv": tensors[SCALE]},
                     rf"{SCALE}: stands there twice, as {SCALE}_inv too")
        yield broken("S24", "two faults, one message", model,
                     lambda tensors: {SCALE: None, "model.layers.1.mlp.up_proj.weight_scale": None},
                     r"2 tensors do not fit.*layers\.0\.mlp\.up_proj.*layers\.1\.mlp\.up_proj")
        yield broken("S25", "inverses", model, lambda tensors: poked(3e5, 0)(tensors), r"are they inverses\?", 0)
    yield broken("S23", "NaN code", "by_channel", lambda tensors: {
        UP + ".weight": (*tensors[UP + ".weight"][:2], b"\x7f" + tensors[UP + ".weight"][2][1:])},
                 rf"{UP}\.weight: expected finite values, got 1 that are not, the first at index 0")
    yield broken("S15", "bytes that are not pairs of codes", "by_group", lambda tensors: {
        UP + ".weight": ("I8", *tensors[UP + ".weight"][1:])}, rf"{UP}\.weight: expected ")


def cases():
    for table in (compressed_cases, other_method_cases, scale_cases):
        yield from table()

# Writes tests/data/dialects: one tiny checkpoint of every quantized dialect and spelling.
# SPDX-License-Identifier: Apache-2.0
"""One tiny checkpoint of every quantized dialect and spelling.

All of a scheme hold the same codes and scales, so that their logits must be equal bit for bit;
<scheme>-dequantized holds what they stand for, in float32. `broken-*` must be refused. Needs numpy
alone: python3 tests/data/make_dialects.py
"""

import json
import shutil
import struct
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent / "dialects"
LAYERS, HIDDEN, INTER, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2, 16, 24, 2, 1, 8, 61
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
    "intermediate_size": INTER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "vocab_size": VOCAB,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256,
    "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float32",
    "bos_token_id": 0, "eos_token_id": 1,
}
LINEARS = {
    "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN), "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": (INTER, HIDDEN), "mlp.up_proj": (INTER, HIDDEN), "mlp.down_proj": (HIDDEN, INTER),
}
BLOCK = (16, 8)  # rows and columns of a block; 8 codes a group

# Every E4M3 code's value, NaN left out.
CODES = np.array([(-1) ** (c >> 7) * ((c & 7) / 512 if (c >> 3) & 15 == 0
                                      else (1 + (c & 7) / 8) * 2.0 ** (((c >> 3) & 15) - 7))
                  for c in range(256)])


def to_e4m3(x):
    """Nearest code, ties to the even one."""
    x = np.clip(x, -448, 448)
    positive = CODES[:0x7F]
    high = np.clip(np.searchsorted(positive, np.abs(x)), 1, 0x7E)
    low = high - 1
    d_low, d_high = np.abs(x) - positive[low], positive[high] - np.abs(x)
    take_low = (d_low < d_high) | ((d_low == d_high) & (low % 2 == 0))
    return (np.where(take_low, low, high) | (np.signbit(x) << 7)).astype(np.uint8)


def spread(scales, shape, block):
    """Scales of blocks as a matrix of the weight's shape."""
    rows = np.repeat(scales, block[0] or shape[0], axis=0)[: shape[0]]
    return np.repeat(rows, block[1] or shape[1], axis=1)[:, : shape[1]]


def amax_of(weight, block):
    rows, columns = block[0] or weight.shape[0], block[1] or weight.shape[1]
    return np.array([[np.abs(weight[r: r + rows, c: c + columns]).max()
                      for c in range(0, weight.shape[1], columns)]
                     for r in range(0, weight.shape[0], rows)], np.float32)


def encode(weight, block, kind):
    """Codes, scales [block rows, block columns], and what they stand for."""
    largest = {"fp8": 448, "int8": 127, "int4": 7}[kind]
    scales = (amax_of(weight, block) / np.float32(largest)).astype(np.float32)
    matrix = spread(scales, weight.shape, block)
    scaled = (weight / matrix).astype(np.float32)
    if kind == "fp8":
        codes = to_e4m3(scaled)
        return codes, scales, (CODES[codes].astype(np.float32) * matrix).astype(np.float32)
    codes = np.clip(np.rint(scaled), -largest - 1, largest).astype(np.int8)
    return codes, scales, (codes.astype(np.float32) * matrix).astype(np.float32)


def bf16_bytes(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


class Checkpoint:
    """Tensors of a file: name → (dtype of safetensors, array)."""

    def __init__(self):
        self.tensors = {}

    def put(self, name, array, dtype="F32"):
        array = np.asarray(array)
        if dtype == "BF16":
            array = bf16_bytes(array)
        elif dtype == "F16":
            array = array.astype(np.float16)
        elif dtype == "F32":
            array = array.astype(np.float32)
        self.tensors[name] = (dtype, array)

    def write(self, name, quantization=None, file=None, config=None):
        folder = ROOT / name
        folder.mkdir(parents=True)
        document = dict(CONFIG, **(config or {}))
        if quantization is not None:
            document["quantization_config"] = quantization
        (folder / "config.json").write_text(json.dumps(document, indent=1) + "\n")
        if file is not None:
            (folder / "hf_quant_config.json").write_text(json.dumps(file, indent=1) + "\n")
        header, data = {}, b""
        for key in sorted(self.tensors):
            dtype, array = self.tensors[key]
            raw = np.ascontiguousarray(array).tobytes()
            header[key] = {"dtype": dtype, "shape": list(array.shape),
                           "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def base():
    """The tensors that no scheme touches, and the weights of the linears."""
    random = np.random.default_rng(7)
    checkpoint, linears = Checkpoint(), {}
    normal = lambda *shape: random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
    checkpoint.put("model.embed_tokens.weight", random.normal(0, 1, (VOCAB, HIDDEN)))
    checkpoint.put("lm_head.weight", normal(VOCAB, HIDDEN))
    checkpoint.put("model.norm.weight", 1 + 0.1 * random.normal(size=HIDDEN))
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            checkpoint.put(prefix + norm + ".weight", 1 + 0.1 * random.normal(size=HIDDEN))
        for name, shape in LINEARS.items():
            linears[prefix + name] = normal(*shape)
    return checkpoint, linears


def attention_of(module):
    return module.rsplit(".", 1)[0]


def kv_scales(checkpoint, spelling, shape=()):
    """One scale a layer; `spelling` takes the attention module and k or v."""
    for layer in range(LAYERS):
        for kind, value in (("k", 0.02), ("v", 0.01)):
            attention = f"model.layers.{layer}.self_attn"
            checkpoint.put(spelling(attention, kind), np.full(shape, value + 0.001 * layer))


def scale_shape(scales, form):
    if form == "scalar":
        return scales.reshape(())
    if form == "one":
        return scales.reshape(1)
    return scales.reshape(-1) if form == "vector" else scales


def quantized(block, kind="fp8", form="matrix", scale="weight_scale", scale_type="F32",
              inputs=None, packing="plain"):
    """A checkpoint of one scheme. `inputs` names static input scales."""
    checkpoint, linears = base()
    for number, (module, weight) in enumerate(linears.items()):
        codes, scales, _ = encode(weight, block, kind)
        if scale_type == "BF16":  # powers of two, which every type holds
            scales = np.exp2(np.ceil(np.log2(scales))).astype(np.float32)
            codes = to_e4m3(weight / spread(scales, weight.shape, block))
        store(checkpoint, module, codes, kind, packing)
        checkpoint.put(f"{module}.{scale}", scale_shape(scales, form), scale_type)
        if inputs:
            value = np.float32(0.01 + 0.001 * number)
            checkpoint.put(f"{module}.{inputs}", scale_shape(value, "one" if form == "one" else "scalar"))
    return checkpoint


def store(checkpoint, module, codes, kind, packing):
    if kind == "fp8":
        checkpoint.put(module + ".weight", codes, "F8_E4M3")
    elif packing == "words":  # codes of a row, offset to be unsigned, from the lowest bits of I32 on
        bits = 8 if kind == "int8" else 4
        unsigned = (codes.astype(np.int64) + (1 << (bits - 1))).reshape(codes.shape[0], -1, 32 // bits)
        words = (unsigned << (bits * np.arange(32 // bits))).sum(axis=2).astype(np.uint32)
        checkpoint.put(module + ".weight_packed", words.view(np.int32), "I32")
        checkpoint.put(module + ".weight_shape", np.array(codes.shape, np.int64), "I64")
    elif kind == "int8":
        checkpoint.put(module + ".weight", codes, "I8")
    else:  # rows 2i and 2i + 1 in one byte
        pairs = codes.astype(np.uint8).reshape(-1, 2, codes.shape[1])
        checkpoint.put(module + ".weight", (pairs[:, 0] & 15) | (pairs[:, 1] << 4), "U8")


def dequantized(name, block, kind="fp8"):
    checkpoint, linears = base()
    for module, weight in linears.items():
        checkpoint.put(module + ".weight", encode(weight, block, kind)[2])
    checkpoint.write(name)


def args(**changes):
    return dict({"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True,
                 "dynamic": False}, **changes)


def groups(weights, inputs, key="group_0", targets=("Linear",), **more):
    return dict({"quant_method": "compressed-tensors", "format": "float-quantized",
                 "quantization_status": "compressed", "ignore": ["lm_head"],
                 "config_groups": {key: {"targets": list(targets), "weights": weights,
                                         "input_activations": inputs}}}, **more)


def modelopt(algo, **more):
    return {"producer": {"name": "modelopt", "version": "0.29.0"},
            "quantization": dict({"quant_algo": algo, "kv_cache_quant_algo": None,
                                  "exclude_modules": ["lm_head"]}, **more)}


def flat_modelopt(algo, **more):
    return dict({"quant_method": "modelopt", "quant_algo": algo, "ignore": ["lm_head"]}, **more)


TENSOR, CHANNEL, BLOCKS, GROUPS = (0, 0), (1, 0), BLOCK, (1, BLOCK[1])


def per_tensor():
    dequantized("tensor-dequantized", TENSOR)
    static = lambda **how: quantized(TENSOR, inputs=how.pop("inputs", "input_scale"), **how)
    static(form="scalar").write("tensor-modelopt", file=modelopt("FP8"))
    static(form="one").write("tensor-modelopt-flat", flat_modelopt("FP8"))
    static(form="one").write("tensor-compressed", groups(args(), args()))
    static(form="one").write("tensor-compressed-names", groups(
        args(observer="static_minmax", scale_dtype=None, zp_dtype=None), args(), key="FP8",
        targets=["re:.*_proj$"], ignore=["re:.*lm_head"], format="naive-quantized"))
    static(form="one").write("tensor-autofp8", {
        "quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]})
    static(form="scalar", scale="weight_scale_inv", inputs="activation_scale").write(
        "tensor-fp8-static", {"quant_method": "fp8", "activation_scheme": "static", "fmt": "e4m3",
                              "weight_block_size": None, "modules_to_not_convert": ["lm_head"]})
    kv = {"kv_cache_quant_algo": "FP8"}
    for name, spelling, shape in (
            ("modelopt", lambda a, k: f"{a}.{k}_proj.{k}_scale", ()),
            ("attention", lambda a, k: f"{a}.{k}_scale", (1,)),
            ("fused", lambda a, k: f"{a}.qkv_proj.{k}_scale", (1,)),
            ("output", lambda a, k: f"{a}.{k}_proj.output_scale", (1,))):
        checkpoint = static(form="scalar")
        kv_scales(checkpoint, spelling, shape)
        checkpoint.write(f"cache-{name}", file=modelopt("FP8", **kv))
    checkpoint = static(form="one")
    kv_scales(checkpoint, lambda a, k: f"{a}.{k}_scale", (1,))
    checkpoint.write("cache-compressed", groups(args(), args(), kv_cache_scheme=args()))
    checkpoint = static(form="one")
    for layer in range(LAYERS):
        checkpoint.put(f"model.layers.{layer}.self_attn.kv_scale", 0.02)
    checkpoint.write("shared-cache-autofp8", {"quant_method": "fp8", "activation_scheme": "static",
                                              "kv_cache_scheme": "static",
                                              "ignored_layers": ["lm_head"]})


def per_channel():
    dequantized("channel-dequantized", CHANNEL)
    token = args(strategy="token", dynamic=True)
    channel = args(strategy="channel")
    algo = "FP8_PER_CHANNEL_PER_TOKEN"
    quantized(CHANNEL, form="vector").write("channel-modelopt", file=modelopt(algo))
    quantized(CHANNEL).write("channel-modelopt-column", flat_modelopt(algo))
    quantized(CHANNEL).write("channel-compressed", groups(channel, token, key="FP8_DYNAMIC"))
    ignored = [f"model.layers.0.{name}" for name in LINEARS] + ["lm_head"]
    mixed, (_, linears) = quantized(CHANNEL), base()
    for name in LINEARS:
        del mixed.tensors[f"model.layers.0.{name}.weight_scale"]
        mixed.put(f"model.layers.0.{name}.weight", linears[f"model.layers.0.{name}"])
    mixed.write("partly-compressed", groups(channel, token, ignore=ignored))
    mixed.write("partly-modelopt", file=modelopt(algo, exclude_modules=["lm_head", "model.layers.0*"]))
    types = quantized(CHANNEL, scale_type="BF16")
    types.write("channel-types-bf16", groups(channel, token))
    for name, (dtype, array) in list(types.tensors.items()):
        if dtype == "BF16":
            types.put(name, (array.astype(np.uint32) << 16).view(np.float32))
    types.write("channel-types-f32", groups(channel, token))


def blocks():
    dequantized("block-dequantized", BLOCKS)
    fine = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
            "weight_block_size": list(BLOCK), "modules_to_not_convert": ["lm_head"]}
    quantized(BLOCKS, scale="weight_scale_inv").write("block-fine-grained", fine)
    alias = dict(fine, ignored_layers=fine["modules_to_not_convert"])
    del alias["modules_to_not_convert"]
    quantized(BLOCKS, scale="weight_scale_inv").write("block-fine-grained-alias", alias)
    quantized(BLOCKS).write("block-compressed", groups(
        args(strategy="block", block_structure=list(BLOCK)),
        args(strategy="group", group_size=BLOCK[1], dynamic=True), key="FP8_BLOCK"))


def integers():
    dequantized("int8-dequantized", CHANNEL, "int8")
    quantized(CHANNEL, "int8", "vector").write("int8-modelopt", file=modelopt("W8A16"))
    weights = args(type="int", strategy="channel")
    quantized(CHANNEL, "int8").write("int8-compressed", groups(weights, None, format="int-quantized"))
    quantized(CHANNEL, "int8", packing="words").write(
        "int8-compressed-packed", groups(weights, None, format="pack-quantized"))
    dequantized("int4-dequantized", GROUPS, "int4")
    quantized(GROUPS, "int4").write(
        "int4-modelopt", file=modelopt("W4A16_AWQ", group_size=BLOCK[1], has_zero_point=False))
    quantized(GROUPS, "int4", packing="words").write("int4-compressed-packed", groups(
        args(num_bits=4, type="int", strategy="group", group_size=BLOCK[1]), None,
        format="pack-quantized"))


def broken():
    module = "model.layers.1.mlp.up_proj"
    scale = module + ".weight_scale"
    algo = "FP8_PER_CHANNEL_PER_TOKEN"

    def write(name, change):
        checkpoint = quantized(CHANNEL, form="vector")
        change(checkpoint)
        checkpoint.write("broken-" + name, file=modelopt(algo))

    def poke(value):
        def change(checkpoint):
            checkpoint.tensors[scale][1][3] = value
        return change

    for name, value in (("zero", 0), ("negative", -1), ("nan", np.nan), ("infinite", np.inf),
                        ("subnormal", 1e-40)):
        write(name, poke(value))
    write("missing", lambda c: c.tensors.pop(scale))
    write("shape", lambda c: c.put(scale, np.ones(INTER + 1)))
    write("type", lambda c: c.put(scale, np.ones(INTER, np.int32), "I32"))
    write("twice", lambda c: c.put(scale + "_inv", np.ones(INTER)))
    write("sixteen-bit", lambda c: c.put(module + ".weight", np.zeros((INTER, HIDDEN))))
    write("many", lambda c: [poke(0)(c), c.tensors.pop("model.layers.0.mlp.up_proj.weight_scale")])
    quantized(CHANNEL, form="vector").write(
        "broken-ignored", file=modelopt(algo, exclude_modules=["lm_head", "*.down_proj"]))
    quantized(TENSOR, form="scalar").write("broken-no-input-scale", file=modelopt("FP8"))
    inverse = quantized(CHANNEL, form="vector")
    for name, (dtype, array) in list(inverse.tensors.items()):
        if name.endswith("weight_scale"):
            inverse.put(name, 1e6 / array)
    inverse.write("inverse-scales", file=modelopt(algo))


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    for make in (per_tensor, per_channel, blocks, integers, broken):
        make()
    print(f"{len(list(ROOT.iterdir()))} checkpoints, "
          f"{sum(f.stat().st_size for f in ROOT.rglob('*.*'))} bytes")


if __name__ == "__main__":
    main()

# A valid Llama folder of 300 KB, and handles to break one byte or field of a copy.
# SPDX-License-Identifier: Apache-2.0
import json
import random
import shutil
import struct
from pathlib import Path

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCAB = 64, 128, 4, 2, 16, 2, 272
REMOVE = object()  # as a field's new value: leave the field out

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
    "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "vocab_size": VOCAB,
    "rms_norm_eps": 1e-05, "hidden_act": "silu", "max_position_embeddings": 512,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 256, "eos_token_id": 257,
    "torch_dtype": "bfloat16",
}


def bf16(values):
    """Rounded towards zero: the values only have to be plausible."""
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def shapes():
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    result = {"lm_head.weight": [VOCAB, HIDDEN], "model.embed_tokens.weight": [VOCAB, HIDDEN]}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        result |= {
            at + "input_layernorm.weight": [HIDDEN], at + "post_attention_layernorm.weight": [HIDDEN],
            at + "mlp.gate_proj.weight": [INNER, HIDDEN], at + "mlp.up_proj.weight": [INNER, HIDDEN],
            at + "mlp.down_proj.weight": [HIDDEN, INNER],
            at + "self_attn.q_proj.weight": [q, HIDDEN], at + "self_attn.k_proj.weight": [kv, HIDDEN],
            at + "self_attn.v_proj.weight": [kv, HIDDEN], at + "self_attn.o_proj.weight": [HIDDEN, q],
        }
    return result | {"model.norm.weight": [HIDDEN]}


def product(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(plain)))
    return [letters[byte] for byte in range(256)]


def tokenizer_json():
    vocab = {letter: i for i, letter in enumerate(byte_alphabet())} | {"th": 258, "the": 259}
    special = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}
               for i, text in ((256, "<|begin_of_text|>"), (257, "<|end_of_text|>"))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "added_tokens": special, "normalizer": None, "pre_tokenizer": byte_level,
            "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": vocab, "merges": ["t h", "th e"]}}


def safetensors(header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


class Model:
    """One copy of a checkpoint folder."""

    def __init__(self, path):
        self.path = Path(path)

    def file(self, name):
        return self.path / name

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.file(name), mode) as file:
            file.write(content)

    def edit_json(self, name, **fields):
        """Fields are dotted with `__`: model__vocab."""
        document = json.loads(self.file(name).read_text())
        for path, value in fields.items():
            *parents, last = path.split("__")
            at = document
            for parent in parents:
                at = at[parent]
            if value is REMOVE:
                at.pop(last)
            else:
                at[last] = value
        self.write(name, json.dumps(document))

    def edit_text(self, name, old, new):
        text = self.file(name).read_text()
        assert old in text, old
        self.write(name, text.replace(old, new, 1))

    def weights(self, name="model.safetensors"):
        content = self.file(name).read_bytes()
        end = 8 + struct.unpack("<Q", content[:8])[0]
        return json.loads(content[8:end]), content[end:]

    def write_weights(self, header, data, name="model.safetensors", **length):
        self.write(name, safetensors(header, data, **length))

    def tensors(self, name="model.safetensors"):
        header, data = self.weights(name)
        return {key: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
                for key, entry in header.items() if key != "__metadata__"}

    def write_tensors(self, tensors, name="model.safetensors"):
        header, data = {"__metadata__": {"format": "pt"}}, b""
        for key, (dtype, shape, content) in tensors.items():
            header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        self.write_weights(header, data, name)

    def edit_tensors(self, **tensors):
        """None removes one; names have `__` for the dot."""
        self.edit_tensor_map({key.replace("__", "."): value for key, value in tensors.items()})

    def edit_tensor_map(self, changes):
        tensors = self.tensors() | changes
        self.write_tensors({key: value for key, value in tensors.items() if value is not None})

    def shard(self, parts=2):
        """Splits the weights over files and writes the index."""
        tensors = self.tensors()
        names = list(tensors)
        weight_map = {}
        for part in range(parts):
            shard = f"model-{part + 1:05}-of-{parts:05}.safetensors"
            chosen = {name: tensors[name] for name in names[part::parts]}
            self.write_tensors(chosen, shard)
            weight_map |= {name: shard for name in chosen}
        total = sum(len(content) for _, _, content in tensors.values())
        self.file("model.safetensors").unlink()
        self.write("model.safetensors.index.json",
                   json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))


def make_model(path):
    path = Path(path)
    path.mkdir(parents=True)
    model = Model(path)
    draw = random.Random(1)
    tensors = {}
    for name, shape in shapes().items():
        values = [1.0] * HIDDEN if "norm" in name else [draw.gauss(0, 0.125) for _ in range(product(shape))]
        tensors[name] = ("BF16", shape, bf16(values))
    model.write_tensors(tensors)
    model.write("config.json", json.dumps(CONFIG))
    model.write("generation_config.json", json.dumps({"bos_token_id": 256, "eos_token_id": 257}))
    model.write("tokenizer.json", json.dumps(tokenizer_json()))
    model.write("tokenizer_config.json", json.dumps({"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}))
    return model


def copy_model(source, target):
    shutil.copytree(source, target, symlinks=True)
    return Model(target)

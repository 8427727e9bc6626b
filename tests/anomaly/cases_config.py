# C1-C18: config.json and generation_config.json.
# SPDX-License-Identifier: Apache-2.0
import os

from case_table import BUILD, GENERATE, QUANTIZE, Case
from tiny_model import REMOVE

CONFIG = "config.json"
NUMBERS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
           "head_dim", "vocab_size", "max_position_embeddings")


def text(content, name=CONFIG):
    return lambda models, folder: models["model"].write(name, content)


def fields(name=CONFIG, **changes):
    return lambda models, folder: models["model"].edit_json(name, **changes)


def swap(old, new, name=CONFIG):
    return lambda models, folder: models["model"].edit_text(name, old, new)


def place(put):
    def make(models, folder):
        path = models["model"].file(CONFIG)
        path.unlink()
        put(path)
    return make


def big(models, folder):
    models["model"].write(CONFIG, b'{"a": "' + b" " * (17 << 20) + b'"}')


def c(row, what, make, message, code=3, command=BUILD, **more):
    return Case("C" + row, what, make, command, code, message, **more)


def text_cases():
    for what, content in (("comment", '{"a": 1 // x\n}'), ("trailing comma", '{"a": 1,}'), ("NaN", '{"a": NaN}'),
                          ("1e400", '{"a": 1e400}'), ("single quotes", "{'a': 1}"), ("NUL", b'{"a": 1}\0'),
                          ("two documents", '{"a": 1} {"b": 2}'), ("bad UTF-8", b'{"a": "\xff"}'), ("truncated", '{"a": [1, 2')):
        yield c("1", what, text(content), r"model/config\.json: 1:\d+: .*\(byte \d+\)")
    yield c("1", "empty", text(""), r"config\.json: 1:1: empty; expected JSON")
    for content in ("[]", "null", "1", '"x"'):
        yield c("1", content, text(content), r"config\.json: .*expected (a JSON object|an object)")
    yield c("1", "byte order mark", lambda models, folder: models["model"].write(CONFIG, b"\xef\xbb\xbf" + models["model"].file(CONFIG).read_bytes()),
            r"MB of weights", 0)
    yield c("1", "line and column", swap('"hidden_size"', '\n\n  hidden_size'), r"config\.json: 3:\d+: ")
    yield c("2", "duplicate key", swap('"hidden_size": 64', '"hidden_size": 64, "hidden_size": 32'), r'duplicate key "hidden_size"')
    yield c("3", "17 MiB", big, r"config\.json: expected at most 16777216 bytes of JSON, got 17825801", megabytes=64)
    for opening, name in (("[", "arrays"), ('{"a":', "objects")):
        yield c("3", f"1,000,000 nested {name}", text(opening * 1_000_000), r"config\.json: .*nested deeper than 64 levels")
    yield c("3", "/dev/zero", place(lambda path: path.symlink_to("/dev/zero")), r"config\.json: expected a regular file, got a device")
    yield c("3", "FIFO", place(os.mkfifo), r"config\.json: expected a regular file, got a FIFO")
    yield c("3", "directory", place(os.mkdir), r"config\.json: expected a regular file, got a directory")
    yield c("3", "missing", place(lambda path: None), r"config\.json: expected a file, got none")


def field_cases():
    for value in (["GPT2LMHeadModel"], [], ["LlamaForCausalLM", "MistralForCausalLM"], "LlamaForCausalLM", [1], REMOVE):
        yield c("4", f"architectures {value!r}", fields(architectures=value), r"config\.json: architectures: expected .*LlamaForCausalLM", 4)
    yield c("4", "model_type", fields(model_type="gpt2"), r'model_type: expected "llama" for LlamaForCausalLM, got "gpt2"', 4)
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
        yield c("5", f"no {key}", fields(**{key: REMOVE}), rf"config\.json: {key}: missing; expected")
    for key in NUMBERS:
        for value in ("64", 64.5, True, 0, -1, 2**31, 2**63):
            yield c("6", f"{key} {value!r}", fields(**{key: value}), rf"config\.json: {key}: expected an integer in \[\d+, \d+\], got")
        if key not in ("num_key_value_heads", "head_dim", "max_position_embeddings"):
            yield c("6", f"{key} null", fields(**{key: None}), rf"config\.json: {key}: expected an integer in \[\d+, \d+\], got null")
    yield c("7", "hidden / heads", fields(hidden_size=65, head_dim=REMOVE), r"hidden_size: expected a multiple of num_attention_heads 4 where head_dim is absent, got 65")
    for value in (3, 8):
        yield c("7", f"{value} KV heads", fields(num_key_value_heads=value), rf"num_key_value_heads: expected a divisor of num_attention_heads 4, got {value}")
    yield c("7", "odd head_dim", fields(head_dim=15), r"head_dim: expected an even number, got 15")
    yield c("8", "vocab_size above the rows", fields(vocab_size=300), r"model\.embed_tokens\.weight: expected \[300, 64\], got \[272, 64\]")
    yield c("8", "id above the rows", fields("tokenizer.json", model__vocab__the=272), r"tokenizer\.json: expected ids below 272, the rows of the model's embedding, got 272", command=GENERATE)
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}
    yield c("9", "unknown type", fields(rope_scaling={"rope_type": "yarn", "factor": 2.0}), r'rope_scaling\.rope_type: expected default, linear or llama3, got "yarn"', 4)
    yield c("9", "unknown old type", fields(rope_scaling={"type": "dynamic", "factor": 2.0}), r'rope_scaling\.rope_type: expected .*"dynamic"', 4)
    for factor in (0, -1, "2", None):
        yield c("9", f"factor {factor}", fields(rope_scaling=scaling | {"factor": factor}), r"rope_scaling\.factor: expected a number in \[1, 1e\+06\], got")
    yield c("9", "factor missing", fields(rope_scaling={"rope_type": "linear"}), r"rope_scaling\.factor: missing")
    yield c("9", "original length missing", fields(rope_scaling={key: scaling[key] for key in list(scaling)[:-1]}), r"rope_scaling\.original_max_position_embeddings: missing")
    yield c("9", "frequencies crossed", fields(rope_scaling=scaling | {"high_freq_factor": 1.0}), r"rope_scaling\.high_freq_factor: expected more than low_freq_factor")
    yield c("9", "no object", fields(rope_scaling=[]), r"rope_scaling: expected an object, got an array")
    yield c("9", "old type", fields(rope_scaling={"type": "linear", "factor": 2.0}), r"MB of weights", 0)
    for value in (0, -1e-5, "1e-5", 1e-45, 2.0):
        yield c("10", f"rms_norm_eps {value!r}", fields(rms_norm_eps=value), r"rms_norm_eps: expected a number in \[1e-30, 1\], got")


def meaning_cases():
    yield c("11", "eos list", fields(eos_token_id=[257, 3]), r"MB of weights", 0)
    yield c("11", "eos empty", lambda models, folder: (fields(eos_token_id=[])(models, folder), models["model"].file("generation_config.json").unlink()),
            r"no eos_token_id: sequences end by length alone.*MB of weights", 0)
    for value in (272, -1, 2**31, "257", 1.5, [272]):
        yield c("11", f"eos {value!r}", fields(eos_token_id=value), r"config\.json: eos_token_id.*expected an integer in \[0, 271\], got")
    yield c("11", "eos of generation_config", fields("generation_config.json", eos_token_id=272), r"generation_config\.json: eos_token_id: expected an integer in \[0, 271\], got 272")
    yield c("11", "bos", fields(bos_token_id=272), r"config\.json: bos_token_id: expected an integer in \[0, 271\], got 272")
    yield c("12", "tied with a head of its own", fields(tie_word_embeddings=True), r"lm_head\.weight: expected none or the embedding where tie_word_embeddings is true")
    yield c("12", "no head", lambda models, folder: models["model"].edit_tensors(lm_head__weight=None), r"lm_head\.weight: expected \[272, 64\], got none")
    for method in ("awq", "gptq", "bitsandbytes"):
        yield c("13", method, fields(quantization_config={"quant_method": method}), rf'config\.json: quantization_config\.quant_method: "{method}" is not supported; supported: modelopt', 4)
    yield c("13", "no method", fields(quantization_config={}), r"quantization_config\.quant_method: missing")
    yield c("13", "another algorithm", fields(quantization_config={"quant_method": "modelopt", "quant_algo": "NVFP4"}), r'quant_algo: "NVFP4" is not supported; supported: FP8', 4)
    yield Case("C13", "quantized twice", lambda models, folder: None, ("quantize", "--model_dir", "quantized", "--output_dir", "{out}"), 4,
               r"quantization_config: the checkpoint is already quantized", uses=("quantized",))
    yield c("14", "auto_map", fields(auto_map={"AutoModel": "evil.Model"}), r"auto_map is ignored.*MB of weights", 0)
    for key, value in (("sliding_window", 4096), ("attn_logit_softcapping", 50.0), ("num_local_experts", 8), ("final_logit_softcapping", 30.0)):
        yield c("15", key, fields(**{key: value}), rf"config\.json: {key}: expected absent or null", 4)
    yield c("15", "hidden_act", fields(hidden_act="gelu"), r'hidden_act: expected "silu", got "gelu"', 4)
    yield c("15", "partial_rotary_factor", fields(partial_rotary_factor=0.5), r"partial_rotary_factor: expected 1", 4)
    yield c("15", "pretraining_tp", fields(pretraining_tp=2), r"pretraining_tp: expected 1", 4)
    yield c("15", "torch_dtype", fields(torch_dtype="int8"), r'torch_dtype: expected float32, bfloat16 or float16, got "int8"', 4)
    for key in ("attention_bias", "mlp_bias"):
        yield c("15", f"{key} without tensors", fields(**{key: True}), r"tensors do not fit config\.json: .*_proj\.bias: expected \[\d+\], got none")
        yield c("15", f"{key} a number", fields(**{key: 1}), rf"{key}: expected true or false, got 1")
    yield c("15", "unknown key", fields(favourite_colour="blue"), r"MB of weights", 0)
    huge = dict(hidden_size=1 << 24, intermediate_size=1 << 24, num_hidden_layers=64, num_attention_heads=4096, num_key_value_heads=4096, head_dim=1024, vocab_size=1 << 24)
    yield c("17", "weights of 10 PB", fields(**huge), r"tensors do not fit config\.json")
    yield c("17", "dummy weights of 10 PB", fields(**huge), r"model\.embed_tokens\.weight: too many elements", 3, (*GENERATE, "--load_format", "dummy"))
    large = dict(hidden_size=1 << 16, intermediate_size=1 << 18, num_hidden_layers=64, num_attention_heads=512, num_key_value_heads=8, head_dim=128, vocab_size=1 << 17)
    yield c("17", "dummy weights of 7 TB", fields(**large), r"the weights need \d+ bytes, this machine has \d+", 6, (*GENERATE, "--load_format", "dummy"))
    for key, value in (("temperature", -1), ("temperature", "1"), ("top_p", 2), ("top_k", -1), ("top_k", 2**31)):
        yield c("18", f"{key} {value!r}", fields("generation_config.json", **{key: value}), rf"generation_config\.json: {key}: expected ")
    yield c("18", "an array", text("[]", "generation_config.json"), r"generation_config\.json: expected an object")
    yield c("18", "unknown key", fields("generation_config.json", colour="blue"), r"MB of weights", 0)


def cases():
    for table in (text_cases, field_cases, meaning_cases):
        yield from table()

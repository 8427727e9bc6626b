#!/usr/bin/env python3
# Makes tests/data/models/: a tiny random checkpoint of every model family, with transformers' logits.
# SPDX-License-Identifier: Apache-2.0
"""usage: make_models.py [FAMILY…]   (needs torch, transformers, safetensors)

Each folder holds config.json, model.safetensors (float32), logits.npy ([tokens, vocab] of `ids`, computed in float64)
and reference.json:
  float32_error  largest difference of transformers' own float32 logits from those;
  bound          8 × that: another order of summation draws its rounding errors from the same distribution;
  effects        for every feature that only this family has: the largest change of a logit without it."""
import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

OUTPUT = Path(__file__).resolve().parent / "models"
TOKENS = 40

BASE = dict(vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, hidden_act="silu", max_position_embeddings=128, rms_norm_eps=1e-5,
            rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, torch_dtype="float32")
LLAMA3_ROPE = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=32)


def family(architecture, model_type, **changes):
    return BASE | dict(architectures=[architecture], model_type=model_type) | changes


# transformers 5 knows only rope_parameters; the config of ours keeps the older spelling.
FAMILIES = {
    "llama": family("LlamaForCausalLM", "llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                    rope_scaling=LLAMA3_ROPE),
    "mistral": family("MistralForCausalLM", "mistral", head_dim=20, sliding_window=8),
    "mixtral": family("MixtralForCausalLM", "mixtral", num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
                      router_jitter_noise=0.0),
    "qwen2": family("Qwen2ForCausalLM", "qwen2", num_hidden_layers=3, use_sliding_window=True, sliding_window=8,
                    max_window_layers=1, tie_word_embeddings=True),
    "qwen3": family("Qwen3ForCausalLM", "qwen3", head_dim=20, attention_bias=True, use_sliding_window=False,
                    sliding_window=None),
}


def config_of(values):
    values = dict(values)
    theta, scaling = values.pop("rope_theta"), values.pop("rope_scaling", None)
    values["rope_parameters"] = {"rope_theta": theta, "rope_type": "default"} | (scaling or {})
    return AutoConfig.for_model(values.pop("model_type"), **values)


def model_of(values, state=None):
    config = config_of(values)
    config._experts_implementation = "eager"  # others compute in float32 at most
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float64)
    if state is not None:
        model.load_state_dict(state)
    return model.eval()


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if name.endswith("bias"):
                noise = 0.5 * noise
            elif parameter.dim() == 1:
                noise = 1 + 0.3 * noise
            elif "embed_tokens" not in name:
                noise = noise / parameter.shape[-1] ** 0.5
            parameter.copy_(noise.float())  # what float32 stores is what both run


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double()


def without(model, feature, values, state):
    """The same model with one feature switched off."""
    if feature == "window":
        return model_of(values | dict(sliding_window=None, use_sliding_window=False), state)
    other = model_of(values, state)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if feature == "biases" and name.endswith("bias"):
                parameter.zero_()
    if feature == "head_norms":
        for layer in other.model.layers:
            layer.self_attn.q_norm = layer.self_attn.k_norm = torch.nn.Identity()
    if feature == "second_expert":
        other = model_of(values | dict(num_experts_per_tok=1), state)
    if feature == "rope_scaling":
        other = model_of(values | dict(rope_scaling=None), state)
    return other


FEATURES = {"llama": ["biases", "rope_scaling"], "mistral": ["window"], "mixtral": ["window", "second_expert"],
            "qwen2": ["biases", "window"], "qwen3": ["biases", "head_norms"]}


def make(name, seed):
    values = FAMILIES[name]
    model = model_of(values)
    randomise(model, seed)
    state = model.state_dict()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, values["vocab_size"], (TOKENS,), generator=generator).tolist()
    logits = logits_of(model, ids)
    single = model_of(values, state).float()
    error = float((logits_of(single, ids) - logits).abs().max())
    effects = {feature: float((logits_of(without(model, feature, values, state), ids) - logits).abs().max())
               for feature in FEATURES[name]}
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        single.save_pretrained(scratch)  # with the checkpoint's names, whatever they are in memory
        tensors = load_file(Path(scratch) / "model.safetensors")
    if values["tie_word_embeddings"]:
        tensors.pop("lm_head.weight", None)
    save_file({key: value.float().contiguous() for key, value in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(values, indent=1) + "\n")
    numpy.save(folder / "logits.npy", logits.float().numpy())
    reference = dict(ids=ids, float32_error=error, bound=8 * error, effects=effects)
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    print(name, {key: reference[key] for key in ("float32_error", "bound", "effects")})


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(name, seed=1 + list(FAMILIES).index(name))


if __name__ == "__main__":
    main()

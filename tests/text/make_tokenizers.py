#!/usr/bin/env python3
# Trains the small tokenizers of tests/data/tokenizers and writes golden cases beside them.
# SPDX-License-Identifier: Apache-2.0
"""Needs the `tokenizers` package. The training text is made here; no document of anybody is used."""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from text_samples import CONTRACTIONS, DIGITS, EMOJI, PUNCTUATION, WORDS, samples, word

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "tokenizers"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]


def training_text(seed=7, lines=4000):
    rng = random.Random(seed)
    syllables = [a + b for a in "bcdfglmnprst" for b in ["a", "e", "i", "o", "u", "an", "er", "ing", "or"]]
    lexicon = WORDS * 4 + ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(400)]
    lexicon += [word(rng) for _ in range(150)]
    extra = PUNCTUATION + EMOJI + DIGITS + CONTRACTIONS + ["\n", "    ", "\t"]

    def line():
        parts = [rng.choice(lexicon) if rng.random() < 0.85 else rng.choice(extra) for _ in range(rng.randint(4, 16))]
        return " ".join(parts).replace(" '", "'")

    return [line() for _ in range(lines)]


def token(content, *flags):
    return AddedToken(content, **{flag: flag in flags for flag in FLAGS})


def train(tokenizer, vocab_size, special, **options):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False, **options)
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def template(first):
    return processors.TemplateProcessing(single=f"{first[0]} $A", pair=f"{first[0]} $A $B", special_tokens=[first])


def byte_level(pre_tokenizer, special, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, 800, special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3():
    tokenizer = byte_level(split_then_bytes(LLAMA3), ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template(("<|begin_of_text|>", 0))])
    document = json.loads(tokenizer.to_str())
    document["model"]["ignore_merges"] = True
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]  # the older spelling
    return document


def gpt2():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return json.loads(tokenizer.to_str())


def qwen2():
    tokenizer = byte_level(split_then_bytes(QWEN2), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_tokens([token("<tool_call>"), token("</tool_call>"), token("caf\u00e9", "normalized")])
    return json.loads(tokenizer.to_str())


def sentencepiece():
    """BPE with byte fallback over text with marks for spaces; the caller sets how marks come in."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    train(tokenizer, 900, ["<unk>", "<s>", "</s>"] + BYTES, limit_alphabet=200)
    tokenizer.post_processor = template(("<s>", 1))
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    marks_to_text = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                     {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    document["decoder"] = {"type": "Sequence", "decoders": marks_to_text}
    return document


def llama2():
    document = sentencepiece()
    document["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    document["pre_tokenizer"] = None
    return document


def mistral():
    document = sentencepiece()
    document["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    return document


def metaspace():
    """The rarer options: an unknown token, prefix and suffix of words, every flag of added tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@@", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(),
                                                 normalizers.Replace(Regex(r"\d{4,}"), "9999")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"[.,;]"), "merged_with_previous"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Metaspace(prepend_scheme="always")])
    train(tokenizer, 700, ["<unk>"], limit_alphabet=150, continuing_subword_prefix="@@", end_of_word_suffix="</w>")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([token("<sep>", "special", "lstrip", "rstrip")])
    tokenizer.add_tokens([token("<mask>", "lstrip"), token("<right>", "rstrip"), token("whole", "single_word"),
                          token("ﬁne", "normalized"), token("<m", "normalized"), token("<mas")])
    return json.loads(tokenizer.to_str())


def write_golden(name, directory, cases=60):
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    added = [entry.content for entry in tokenizer.get_added_tokens_decoder().values()]
    rows = []
    for text in samples(name, cases, added):
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text.decode("utf-8", "replace")).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text.decode("utf-8", "replace"), add_special_tokens=False).ids
        rows.append({"hex": text.hex(), "ids": ids, "plain_ids": plain,
                     "text": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids)})
    lines = ",\n".join(json.dumps(row) for row in rows)
    (directory / "golden.json").write_text(f"[\n{lines}\n]\n")


def main():
    for make in [llama3, gpt2, qwen2, llama2, mistral, metaspace]:
        directory = DATA / make.__name__
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(make(), ensure_ascii=False, separators=(",", ":"))
        (directory / "tokenizer.json").write_text(text + "\n")
        write_golden(make.__name__, directory)
        print(make.__name__, len(text))


if __name__ == "__main__":
    main()

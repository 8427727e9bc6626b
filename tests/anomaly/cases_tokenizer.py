# T1-T12, T18, T19: tokenizer.json and texts.
# SPDX-License-Identifier: Apache-2.0
import json
import random
import subprocess

from case_table import GENERATE, Case, Scenario
from tiny_model import REMOVE, copy_model

FILE = "tokenizer.json"
SCORE = ("eval", "perplexity", "--model_dir", "model", "--max_batch_size", "1", "--context", "16", "--max_tokens", "33", "--dataset")


def fields(**changes):
    return lambda models, folder: models["model"].edit_json(FILE, **changes)


def merges(*pairs):
    return fields(model__merges=["t h", "th e", *pairs])


def token(**changes):
    """The second added token changed."""
    def make(models, folder):
        tokens = json.loads(models["model"].file(FILE).read_text())["added_tokens"]
        tokens[1] |= changes
        models["model"].edit_json(FILE, added_tokens=tokens)
    return make


def add_token(**changes):
    def make(models, folder):
        tokens = json.loads(models["model"].file(FILE).read_text())["added_tokens"]
        models["model"].edit_json(FILE, added_tokens=[*tokens, tokens[1] | changes])
    return make


def vocabulary(**changes):
    return fields(**{"model__vocab__" + name: value for name, value in changes.items()})


def split(pattern):
    return fields(pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False})


def text(content):
    data = content if isinstance(content, bytes) else content.encode()
    return lambda models, folder: (folder / "text.txt").write_bytes(data)


def both(*makes):
    return lambda models, folder: [make(models, folder) for make in makes]


def only_sentencepiece(models, folder):
    models["model"].file(FILE).unlink()
    models["model"].write("tokenizer.model", b"\x0a\x0e")


def t(row, what, make, message, code=3, command=GENERATE, **more):
    return Case("T" + row, what, make, command, code, rf"tokenizer\.json: .*{message}" if code == 3 else message, **more)


def model_cases():
    yield t("1", "result not in the vocabulary", merges("a b"), r'merges\[2\]: expected a merge of tokens into a token, and "ab" is none')
    yield t("1", "part not in the vocabulary", merges("zz a"), r'merges\[2\]: .*"zz" is none')
    for pair in ("a", "a b c", 7, ["a"], ["a", "b", "c"], ["a", 1], None):
        yield t("1", f"merge {pair!r}", merges(pair), r"merges\[2\]")
    yield t("1", "merges missing", fields(model__merges=REMOVE), r"model\.merges: missing")
    yield t("2", "right token shorter than the prefix", fields(model__continuing_subword_prefix="##"), r"merges\[\d\]: expected a right token with the prefix")
    yield t("3", "duplicate id", vocabulary(the=3), r'model\.vocab\..*: expected an id that "')
    yield t("3", "duplicate token", lambda models, folder: models["model"].edit_text(FILE, '"th": 258', '"th": 258, "th": 258'), r'duplicate key "th"')
    for value in (-1, 2**31, "3", 1.5, None, True):
        yield t("3", f"id {value!r}", vocabulary(the=value), r"model\.vocab\.the: expected an integer in \[0, \d+\], got")
    yield t("3", "gap", vocabulary(extra=270), r"", 0)
    yield t("4", "empty content", token(content=""), r"added_tokens\[1\]\.content: expected 1 to 1024 bytes")
    yield t("4", "no content", token(content=None), r"added_tokens\[1\]\.content: expected a string, got null")
    yield t("4", "content of 1 MB", token(content="x" * 2**20), r"added_tokens\[1\]\.content: expected 1 to 1024 bytes")
    yield t("4", "id twice", add_token(content="<other>"), r'added_tokens\[2\]: expected a token and an id that occur once, got "<other>" with id 257')
    yield t("4", "content twice", add_token(id=260), r'added_tokens\[2\]: expected a token and an id that occur once')
    yield t("4", "id of another token", add_token(content="<other>", id=259), r"added_tokens\[2\]: expected the same id as in the vocabulary")
    yield t("4", "overlapping tokens", add_token(content="<|end_of_text|>>", id=260), r"", 0)
    yield t("4", "special a number", token(special=1), r"added_tokens\[1\]\.special: expected true or false")
    for field, value in (("model__type", "WordPiece"), ("normalizer", {"type": "Nmt"}), ("pre_tokenizer", {"type": "Metasplit"}),
                         ("decoder", {"type": "CTC"}), ("post_processor", {"type": "RobertaProcessing"})):
        name = value if isinstance(value, str) else value["type"]
        yield t("5", f"{field} {name}", fields(**{field: value}), rf'tokenizer\.json: {field.replace("__", ".")}.*"{name}" is not supported; supported: ', 4)
    yield t("5", "dropout", fields(model__dropout=0.1), r"model\.dropout: 0\.1 is not supported", 4)
    yield t("5", "version", fields(version="2.0"), r'version: "2\.0" is not supported', 4)
    yield t("6", "invalid regex", split("(a"), r"pre_tokenizer\.pattern: expected a valid regular expression, got '\(a'")
    yield t("6", "regex with a back reference", split(r"(a)\1"), r"pre_tokenizer\.pattern: .* is not supported", 4)
    yield t("7", "byte_fallback", fields(model__byte_fallback=True), r"model\.vocab: expected all byte tokens, as byte_fallback is true, got no <0x00>")
    yield t("5", "post_processor names no token", fields(post_processor={"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "x", "type_id": 0}}],
                                                         "pair": [], "special_tokens": {"x": {"id": "x", "ids": [999], "tokens": ["x"]}}}), r"post_processor: expected ids of tokens, got 999")


def text_cases():
    megabyte = {"one letter": "a" * 2**20, "no spaces": "the" * 350_000, "emoji": "👩‍👩‍👧" * 58_000, "marks": "e" + "\u0301" * 500_000,
                "spaces": " " * 2**20, "newlines": "\n" * 2**20}
    for what, content in megabyte.items():
        yield Case("T8", what, text(content + "x"), (*SCORE, "{d}/text.txt"), 0, r"perplexity \d", cpu_s=4.0)
    yield Case("T6", "catastrophic regex", both(split("(a+)+$"), text("a" * 2**20 + "b")), (*SCORE, "{d}/text.txt"), 3, r"pre_tokenizer\.pattern: .*exceeds its budget", cpu_s=4.0)
    broken = {"invalid": b"\xff\xfe", "overlong": b"\xc0\xaf", "surrogate half": b"\xed\xa0\x80", "cut": b"\xf0\x9f", "largest": "\U0010ffff".encode(),
              "BOM inside": b"a\xef\xbb\xbfb"}
    for what, content in broken.items():
        make = lambda models, folder, content=content: (folder / "prompts.txt").write_bytes(b"the " + content + b" end\n")
        yield Case("T9", what, make, (*GENERATE[:3], "--prompt_file", "prompts.txt", "--max_tokens", "2", "--max_batch_size", "1", "--json"), 0, r'"finish_reason":')
    bench = ("bench", "throughput", "--model_dir", "model", "--max_batch_size", "1", "--warmup", "0", "--dataset", "requests.jsonl")
    for ids in ([-1], [272], [2**31], [1.5], ["a"], []):
        line = json.dumps({"task_id": 0, "input_ids": ids, "output_tokens": 2})
        yield Case("T18", f"ids {ids}", lambda models, folder, line=line: (folder / "requests.jsonl").write_text(line + "\n"), bench, 3, r"requests\.jsonl: line 1: input_ids")
    yield Case("T19", "only tokenizer.model", only_sentencepiece, GENERATE, 4, r"tokenizer\.model: this tokenizer format is not supported; save the tokenizer as tokenizer\.json")
    yield Case("T19", "no tokenizer", lambda models, folder: models["model"].file(FILE).unlink(), GENERATE, 3, r"tokenizer\.json: cannot open: No such file")


def stream_is_utf8(fixtures, folder):
    """Random bytes come from the model; what is printed must be UTF-8 at every moment."""
    copy_model(fixtures.folder / "engine", folder / "engine")
    for seed in range(3):
        done = subprocess.run([fixtures.octavo, "generate", "--engine_dir", "engine", "--prompt", "é", "--max_tokens", "64", "--ignore_eos",
                               "--temperature", "2", "--seed", str(seed), "--stream"], cwd=folder, capture_output=True)
        if done.returncode != 0:
            yield f"exit {done.returncode}: {done.stderr[-300:]!r}"
        try:
            done.stdout.decode("utf-8")
        except UnicodeDecodeError as error:
            yield f"seed {seed}: {error}"


def cases():
    yield from model_cases()
    yield from text_cases()
    yield Scenario("T12", "stream of broken characters", lambda fixtures, folder: list(stream_is_utf8(fixtures, folder)))

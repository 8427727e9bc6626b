# Texts that tokenizers find hard, from a seed: shared by the fixtures and by the comparison.
# SPDX-License-Identifier: Apache-2.0
import random

SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\u00a0", "\u3000", "\u2003", "\u0085",
          "\u2028", "\u180e", "\u200b", "\ufeff", "\x0b", "\x0c", "\x1c", "\x00"]
PUNCTUATION = list(".,;:!?()[]{}<>\"'`~@#$%^&*-_=+/\\|") + ["...", "--", "—", "«", "»", "¿", "…", "、", "。", "▁", "▁▁"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'\u017f", "\u2019s", "'Re", "''s"]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "☃️", "❤", "🫠", "🧑‍🚀", "\U0001fae9", "©", "™"]
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A),
           (0x900, 0x97F), (0xE01, 0xE3A), (0x1100, 0x11FF), (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3)]
DIGITS = ["0", "7", "42", "123", "1234", "20251122", "3.14", "１２", "٣٤", "²", "½", "Ⅷ", "१२३"]
MARKS = ["\u0301", "\u0323", "\u0308", "\u20dd", "\u093f", "\u1dca", "\u0f71", "\u3099", "\u0345", "\u0334"]
NEWER = [0x897, 0x1C89, 0xA7CB, 0x105C0, 0x10D40, 0x10D6E, 0x113B8, 0x1171E, 0x11F50, 0x1CCF0, 0x1E030, 0x1F6DC,
         0x2EBF0, 0x31350, 0x1DF6, 0x898, 0x32FF, 0x11935, 0x11930, 0x11938, 0x11DE0, 0x10FFFF]
INVALID = [b"\x80", b"\xff", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f\x98",
           b"\xf4\x90\x80\x80", b"\xc3(", b"\xe0\x80\xaf", b"\xf8\x88\x80\x80\x80", b"\xf0\x82\x82\xac",
           b"\xef\xbf\xbe", b"\xf0\x9f\x98\x80\x80"]
WORDS = "the quick engine reads weights and writes tokens hello world Octavo scale tensor matrix of in to a I".split()


def character(rng):
    kind = rng.random()
    if kind < 0.5:
        return chr(rng.randint(*rng.choice(SCRIPTS)))
    if kind < 0.6:
        return chr(rng.choice(NEWER))
    while True:
        c = rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x110000)])
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def word(rng):
    script = rng.choice(SCRIPTS)
    return "".join(chr(rng.randint(*script)) for _ in range(rng.randint(1, 9)))


def part(rng, tokens):
    choices = [
        (20, lambda: rng.choice(WORDS)), (14, lambda: " "), (8, lambda: word(rng)), (8, lambda: rng.choice(SPACES)),
        (8, lambda: rng.choice(PUNCTUATION)), (5, lambda: rng.choice(DIGITS)), (4, lambda: rng.choice(CONTRACTIONS)),
        (4, lambda: rng.choice(EMOJI)), (3, lambda: character(rng)), (3, lambda: rng.choice(MARKS)),
        (2, lambda: rng.choice(SPACES) * rng.randint(2, 20)), (1, lambda: rng.choice("ab =-0\n") * rng.randint(2, 60)),
        (1, lambda: word(rng) + "".join(rng.choice(MARKS) for _ in range(rng.randint(2, 8)))),
    ]
    if tokens:
        choices += [(4, lambda: rng.choice(tokens)), (1, lambda: rng.choice(tokens)[:-1]),
                    (1, lambda: " " + rng.choice(tokens) + "  ")]
    weights, makers = zip(*choices)
    return rng.choices(makers, weights)[0]().encode()


def sample(rng, tokens):
    """Bytes, mostly valid UTF-8."""
    parts = [part(rng, tokens) for _ in range(rng.choice([1, 2, 3, 5, 10, 20, 40]))]
    if rng.random() < 0.15:
        for _ in range(rng.randint(1, 3)):
            parts.insert(rng.randint(0, len(parts)), rng.choice(INVALID))
    return b"".join(parts)


def samples(seed, count, tokens):
    rng = random.Random(seed)
    return [b"", b" ", b"\n", b"  a"][:count] + [sample(rng, tokens) for _ in range(count - 4)]

#!/usr/bin/env python3
# Prints the tables of src/text/newer_unicode.cc, by what the `tokenizers` package does with each character.
# SPDX-License-Identifier: Apache-2.0
"""Needs Python 3.11 (its unicodedata is Unicode 14, as PCRE2 10.42's), `unicodedata2` and `tokenizers`."""
import unicodedata

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cf".split()
# (category, UTF-8 length) -> an older character of the same category and length.
STAND_INS = {
    ("Lu", 3): 0x1E00, ("Ll", 3): 0x1E01, ("So", 3): 0x2117, ("Mn", 3): 0x0900, ("Mc", 3): 0x0903,
    ("Po", 3): 0x2016, ("Lu", 4): 0x10400, ("Ll", 4): 0x10428, ("Lm", 4): 0x10780, ("Lo", 4): 0x10450,
    ("Mn", 4): 0x10A01, ("Mc", 4): 0x11000, ("Nd", 4): 0x104A0, ("No", 4): 0x10107, ("Pd", 4): 0x10EAD,
    ("Po", 4): 0x10100, ("Sm", 4): 0x1D6C1, ("So", 4): 0x1F300, ("Cf", 4): 0x110BD,
}
HAN = 0x20000


CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def reference_categories():
    known = {}
    for category in CATEGORIES:
        split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed", invert=True)
        for at in range(0, len(CHARACTERS), 4096):
            for piece, _ in split.pre_tokenize_str("".join(map(chr, CHARACTERS[at:at + 4096]))):
                known.update((ord(c), category) for c in piece)
    return known


def ranges(known):
    rows = []
    for c in sorted(known):
        if unicodedata.category(chr(c)) == known[c]:
            continue
        stand_in = STAND_INS[known[c], len(chr(c).encode())]
        stand_in = HAN if known[c] == "Lo" and c >= 0x2A6DF else stand_in
        if rows and rows[-1][1] == c - 1 and rows[-1][2] == stand_in:
            rows[-1][1] = c
        else:
            rows.append([c, c, stand_in])
    return rows


def is_unknown(text):
    """The character decomposes or is a mark, but not for the reference."""
    if not unicodedata2.combining(text) and (not unicodedata2.decomposition(text) or "\uac00" <= text < "\ud7a4"):
        return False
    return all(normalizers.NFKD().normalize_str(t) == t for t in [text, "a" + text + "\u0334", "a\u0345" + text])


def unknown_to_normalizer():
    unknown = {c for c in CHARACTERS if is_unknown(chr(c))}
    # Nor may the parts of a newer character compose. Those in the BMP are old marks, which compose otherwise.
    for c in list(unknown):
        parts = unicodedata2.decomposition(chr(c))
        if parts and not parts.startswith("<"):
            unknown.update(part for part in (int(word, 16) for word in parts.split()) if part >= 0x10000)
    rows = []
    for c in sorted(unknown):
        if rows and rows[-1][1] == c - 1:
            rows[-1][1] = c
        else:
            rows.append([c, c])
    return rows


def print_cells(title, form, rows, columns):
    print(title)
    cells = [form % tuple(row) for row in rows]
    for at in range(0, len(cells), columns):
        print("    " + " ".join(cells[at:at + columns]))


if __name__ == "__main__":
    print_cells("kNewer", "{0x%X, 0x%X, 0x%X},", ranges(reference_categories()), 3)
    print_cells("kUnknownToNormalizer", "{0x%X, 0x%X},", unknown_to_normalizer(), 5)

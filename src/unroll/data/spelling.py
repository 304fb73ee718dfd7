"""Tokens as they were written, from prepared data."""

import numpy as np

from unroll.data.encoding import TokenTable
from unroll.data.schema import DataSchema
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # a character that does not occur in train


def written_tokens(schema: DataSchema, table: TokenTable, rows: np.ndarray) -> list[str]:
    """The tokens in these rows (T,) of a table, spelled by their characters."""
    spelled = zip(table.spell(rows), table.words[rows], strict=True)
    return [spelling(codes, schema.vocabulary[word], schema.alphabet) for codes, word in spelled]


def spelling(codes: np.ndarray, word: str, alphabet: list[str]) -> str:
    """A token from its characters; characters that are missing from the alphabet are taken from its word."""
    codes = codes[codes != PADDING]
    known = word if len(word) == len(codes) and word not in SPECIAL_WORDS else REPLACEMENT * len(codes)
    return "".join(known[i] if code == UNKNOWN else alphabet[code] for i, code in enumerate(codes))

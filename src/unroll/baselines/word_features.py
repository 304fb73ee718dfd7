"""Features of words and of their neighbours, for a feature-based tagger."""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from unroll.data.encoding import TokenTable
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import SPECIAL_WORDS, Casing

NEIGHBOURS = (-2, -1, 1, 2)
SUFFIXES = (1, 2, 3, 4)
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # any character that is missing from the alphabet


class _Features(NamedTuple):
    """Features of a token: `own` for itself only, `shared` for its neighbours too."""

    own: list[str]
    shared: list[str]


class WordFeatures:
    """Standard features for named entities (as in Ratinov and Roth 2009), as strings.

    - Of a token: a constant, its characters, and its suffixes of one to four characters.
    - Of the token and of the two tokens on either side: its word in the vocabulary, its casing, and its shape (see
      `shape`); `nothing` outside the sentence.
    """

    def __init__(self, vocabulary: list[str], alphabet: list[str]) -> None:
        self._vocabulary = vocabulary
        self._characters = [UNKNOWN_CHARACTER] * len(SPECIAL_WORDS) + alphabet[len(SPECIAL_WORDS) :]

    def extract(self, split: EncodedSplit) -> Iterator[list[list[str]]]:
        """Yield the features of each token, sequence by sequence, in the order of the split."""
        distinct = self._of_distinct_tokens(split.table)
        for rows in np.split(split.tokens, split.offsets[1:-1]):
            tokens = [distinct[row] for row in rows]
            yield [self._in_context(tokens, step) for step in range(len(tokens))]

    def _in_context(self, tokens: list[_Features], step: int) -> list[str]:
        features = [*tokens[step].own, *tokens[step].shared]
        for offset in NEIGHBOURS:
            is_inside = 0 <= step + offset < len(tokens)
            shared = tokens[step + offset].shared if is_inside else ["nothing"]
            features += [f"{offset:+}:{feature}" for feature in shared]
        return features

    def _of_distinct_tokens(self, table: TokenTable) -> list[_Features]:
        """Features of each row of the table."""
        letters = "".join(self._characters[i] for i in table.spellings.values)
        spellings = [letters[start:end] for start, end in pairwise(table.spellings.offsets)]
        return [
            _Features(
                own=["constant", f"written={spelling}", *_suffixes(spelling)],
                shared=[f"word={self._vocabulary[word]}", f"casing={Casing(kind).name}", f"shape={shape(spelling)}"],
            )
            for spelling, word, kind in zip(spellings, table.words, table.casing, strict=True)
        ]


def _suffixes(spelling: str) -> list[str]:
    return [f"suffix={spelling[-size:]}" for size in SUFFIXES if size < len(spelling)]


def shape(spelling: str) -> str:
    """Map upper-case letters to X, other letters to x, digits to d, and runs to one character: `Ab-2024` → `Xx-d`."""
    kinds = (
        "X" if letter.isupper() else "x" if letter.isalpha() else "d" if letter.isdigit() else letter
        for letter in spelling
    )
    return "".join(kind for kind, _ in groupby(kinds))

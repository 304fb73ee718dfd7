"""What a feature-based tagger sees of a word and of its neighbours."""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from unroll.data.encoding import SPECIAL_WORDS, TokenTable
from unroll.data.prepared import EncodedSplit
from unroll.data.text import Casing

NEIGHBOURS = (-2, -1, 1, 2)
SUFFIXES = (1, 2, 3, 4)
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # one that the alphabet lacks


class _Features(NamedTuple):
    """Of a token: those that it has itself, and those that its neighbours see too."""

    own: list[str]
    shared: list[str]


class WordFeatures:
    """The features that are standard for names (as in Ratinov and Roth 2009), each a string.

    - Of a token: a constant, how it is written, its suffixes of one to four characters.
    - Of it and of the two on either side: its entry of the vocabulary, its casing, and its shape, in which an upper
      letter is X, a lower one x, a digit d, and runs are one: `U.N.` is `X.X.`, `Ab-2024` is `Xx-d`.
      Beyond the sentence there is nothing.
    """

    def __init__(self, vocabulary: list[str], alphabet: list[str]) -> None:
        self._vocabulary = vocabulary
        self._characters = [UNKNOWN_CHARACTER] * len(SPECIAL_WORDS) + alphabet[len(SPECIAL_WORDS) :]

    def read(self, split: EncodedSplit) -> Iterator[list[list[str]]]:
        """The features of each token of each sequence, in the split's order."""
        known = self._of_tokens(split.table)
        for rows in np.split(split.tokens, split.offsets[1:-1]):
            tokens = [known[row] for row in rows]
            yield [self._in_place(tokens, place) for place in range(len(tokens))]

    def _in_place(self, tokens: list[_Features], place: int) -> list[str]:
        features = [*tokens[place].own, *tokens[place].shared]
        for offset in NEIGHBOURS:
            is_inside = 0 <= place + offset < len(tokens)
            seen = tokens[place + offset].shared if is_inside else ["nothing"]
            features += [f"{offset:+}:{feature}" for feature in seen]
        return features

    def _of_tokens(self, table: TokenTable) -> list[_Features]:
        """By the row of the table."""
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
    """Xx of Ada, X of NATO, d-d of 1-0."""
    kinds = (
        "X" if letter.isupper() else "x" if letter.isalpha() else "d" if letter.isdigit() else letter
        for letter in spelling
    )
    return "".join(kind for kind, _ in groupby(kinds))

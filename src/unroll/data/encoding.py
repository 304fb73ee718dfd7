"""Tokens to numbers: vocabularies, and what the networks see of every distinct token."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from unroll.data.schema import DataSchema
from unroll.data.text import casing
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN, Casing

MAX_SPELLING = 40  # characters of a token that are kept: longer ones are no words


def build_vocabulary(counts: Mapping[str, int], min_count: int) -> list[str]:
    """Special words first, then by falling count and by alphabet, so that equal data give equal files."""
    kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL_WORDS]
    return SPECIAL_WORDS + sorted(kept, key=lambda word: (-counts[word], word))


class DistinctTokens:
    """Every distinct token gets a number from 1 as it is met, so that a corpus is held as integers, not as strings."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = defaultdict(count(1).__next__)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, tokens: Sequence[str]) -> np.ndarray:
        return np.array(list(map(self._ids.__getitem__, tokens)), np.int32)


@dataclass(frozen=True)
class TokenTable:
    """What the networks see of every distinct token; row 0 is padding.

    Shapes, for S rows and C characters in all: `words` (S,) the id of the lower-cased word, `casing` (S,), and the
    spelling of row k `characters[character_offsets[k]:character_offsets[k + 1]]`.
    """

    words: np.ndarray
    casing: np.ndarray
    characters: np.ndarray
    character_offsets: np.ndarray

    ARRAYS = ("words", "casing", "characters", "character_offsets")

    def save(self, folder: Path) -> None:
        folder.mkdir()
        for name in self.ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> "TokenTable":
        return cls(*(np.load(folder / f"{name}.npy") for name in cls.ARRAYS))

    def spell(self, rows: np.ndarray) -> np.ndarray:
        """rows: (U,) → character ids (U, C), PADDING on the right."""
        starts = self.character_offsets[rows, None]  # (U, 1)
        lengths = self.character_offsets[rows + 1, None] - starts
        steps = np.arange(lengths.max())
        mask = steps < lengths  # (U, C)
        return np.where(mask, self.characters[np.where(mask, starts + steps, 0)], PADDING)


class TokenEncoder:
    """Turns tokens into a TokenTable.

    Args:
        vocabulary: of words.
        alphabet: of characters.
        word: the entry of the vocabulary that a token is.
    """

    def __init__(self, vocabulary: list[str], alphabet: list[str], word: Callable[[str], str] = str.lower) -> None:
        self._word = word
        self._words = {word: i for i, word in enumerate(vocabulary) if i != PADDING}  # no token is padding
        self._characters = np.full(0x110000, UNKNOWN, np.int32)  # by code point
        for i, character in enumerate(alphabet[len(SPECIAL_WORDS) :], start=len(SPECIAL_WORDS)):
            self._characters[ord(character)] = i

    @classmethod
    def of(cls, schema: DataSchema) -> "TokenEncoder":
        """For the words and characters that a model knows."""
        return cls(schema.vocabulary, schema.alphabet, schema.tokenizer.word)

    def encode(self, tokens: Iterable[str]) -> TokenTable:
        """Row k + 1 is token k; a word or character that is not in its vocabulary is `<unk>`."""
        tokens = list(tokens)
        words = [self._words.get(self._word(token), UNKNOWN) for token in tokens]
        # Padding is read too, and must be something; nothing depends on it.
        spellings = ["\0", *(token[:MAX_SPELLING] for token in tokens)]
        codes = np.frombuffer("".join(spellings).encode("utf-32-le", "surrogatepass"), "<u4")
        characters = self._characters[codes].astype(np.int64)
        characters[0] = UNKNOWN
        return TokenTable(
            words=np.array([PADDING, *words], np.int64),
            casing=np.array([Casing.PADDING, *map(casing, tokens)], np.int64),
            characters=characters,
            character_offsets=np.cumsum([0, *map(len, spellings)]),
        )

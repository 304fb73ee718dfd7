"""Vocabularies, and the numeric features of each distinct token."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.text import casing
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN, Casing
from unroll.files import whole_file

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # a character that does not occur in train
MAX_SPELLING = 40  # characters kept per token; longer tokens are rarely words


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array in NumPy's format."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def build_vocabulary(counts: Mapping[str, int], min_count: int) -> list[str]:
    """The special words, then those that occur at least `min_count` times, by descending count, then alphabetically."""
    kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL_WORDS]
    return SPECIAL_WORDS + sorted(kept, key=lambda word: (-counts[word], word))


class DistinctTokens:
    """Assigns consecutive ids from 1 to distinct tokens, so that a corpus is stored as integers."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = defaultdict(count(1).__next__)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, tokens: Sequence[str]) -> np.ndarray:
        """The ids of the tokens, (T,) int32; new tokens receive the next ids."""
        return np.array(list(map(self._ids.__getitem__, tokens)), np.int32)


@dataclass(frozen=True)
class TokenTable:
    """The features of each distinct token; row 0 is padding.

    Args:
        words: (S,) ids of the tokens' entries in the vocabulary.
        casing: (S,) values of `Casing`.
        spellings: S sequences of character ids.
    """

    words: np.ndarray
    casing: np.ndarray
    spellings: Ragged

    ARRAYS = ("words", "casing", "characters", "character_offsets")
    OTHER_WORDS = "other_words.json"

    @property
    def unknown(self) -> np.ndarray:
        """The rows whose word is not in the vocabulary, increasing."""
        return np.flatnonzero(self.words == UNKNOWN)

    def save(self, folder: Path) -> None:
        folder.mkdir()
        arrays = (self.words, self.casing, self.spellings.values, self.spellings.offsets)
        for name, array in zip(self.ARRAYS, arrays, strict=True):
            write_array(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> "TokenTable":
        words, casing, characters, offsets = (np.load(folder / f"{name}.npy") for name in cls.ARRAYS)
        return cls(words, casing, Ragged(characters, offsets))

    def with_words(self, words: Sequence[str], vocabulary: Sequence[str]) -> "TokenTable":
        """This table with a vocabulary that has more words than its own after them.

        Args:
            words: those of the rows `unknown`, in this order.
        """
        ids = {word: i for i, word in enumerate(vocabulary) if i != PADDING}
        known = self.words.copy()
        known[self.unknown] = [ids.get(word, UNKNOWN) for word in words]
        return replace(self, words=known)

    def spell(self, rows: np.ndarray) -> np.ndarray:
        """The character ids (U, C) of the rows (U,), padded on the right."""
        positions, mask = self.spellings.positions(rows)
        return np.where(mask, self.spellings.values[positions], PADDING)


class TokenEncoder:
    """Converts tokens into a TokenTable; `word` maps a token to its entry in the vocabulary."""

    def __init__(self, vocabulary: list[str], alphabet: list[str], word: Callable[[str], str] = str.lower) -> None:
        self._word = word
        self._words = {word: i for i, word in enumerate(vocabulary) if i != PADDING}  # a token "<pad>" is unknown
        self._characters = np.full(0x110000, UNKNOWN, np.int32)  # by code point
        for i, character in enumerate(alphabet[len(SPECIAL_WORDS) :], start=len(SPECIAL_WORDS)):
            self._characters[ord(character)] = i

    @classmethod
    def of(cls, schema: DataSchema) -> "TokenEncoder":
        return cls(schema.vocabulary, schema.alphabet, schema.tokenizer.word)

    def encode(self, tokens: Iterable[str]) -> TokenTable:
        """Row k + 1 is token k; words and characters without an id become `<unk>`."""
        tokens = list(tokens)
        words = [self._words.get(self._word(token), UNKNOWN) for token in tokens]
        # The padding row is looked up too, so it needs a spelling; its value is not used.
        spellings = ["\0", *(token[:MAX_SPELLING] for token in tokens)]
        codes = np.frombuffer("".join(spellings).encode("utf-32-le", "surrogatepass"), "<u4")
        characters = self._characters[codes].astype(np.int64)
        characters[0] = UNKNOWN
        return TokenTable(
            words=np.array([PADDING, *words], np.int64),
            casing=np.array([Casing.PADDING, *map(casing, tokens)], np.int64),
            spellings=Ragged.from_lengths(characters, [len(spelling) for spelling in spellings]),
        )


def written_tokens(schema: DataSchema, table: TokenTable, rows: np.ndarray) -> list[str]:
    """The tokens in these rows (T,) of a table, spelled by their characters."""
    spelled = zip(table.spell(rows), table.words[rows], strict=True)
    return [spelling(codes, schema.vocabulary[word], schema.alphabet) for codes, word in spelled]


def spelling(codes: np.ndarray, word: str, alphabet: list[str]) -> str:
    """A token from its characters; characters that are missing from the alphabet are taken from its word."""
    codes = codes[codes != PADDING]
    known = word if len(word) == len(codes) and word not in SPECIAL_WORDS else REPLACEMENT * len(codes)
    return "".join(known[i] if code == UNKNOWN else alphabet[code] for i, code in enumerate(codes))

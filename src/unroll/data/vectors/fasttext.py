"""Word vectors in fastText's binary format, which has vectors of character n-grams for words that it does not know."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unroll.data.vectors.text import is_finite

MAGIC = struct.pack("<i", 793712314)
_VERSION = 12
_OPTIONS = struct.Struct("<12id")  # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, …
_SIZES = struct.Struct("<iiiqq")  # entries, words, labels, tokens, kept n-grams of a quantised model
_ENTRY = struct.Struct("<qb")  # after the word and a zero byte: count, and whether it is a label
_SHAPE = struct.Struct("<?qq")  # whether the matrix is quantised, and its rows and columns
_END_OF_SENTENCE = "</s>"  # has no n-grams


class Known(NamedTuple):
    """A word of the file; see `FastTextFile`."""

    file: "FastTextFile"
    row: int
    spelling: bytes

    def word(self) -> str:
        return self.spelling.decode(errors="replace")

    def vector(self) -> np.ndarray:
        rows = [] if self.spelling == _END_OF_SENTENCE.encode() else self.file.subword_rows(self.spelling)
        return self.file.mean([self.row, *rows])

    @property
    def width(self) -> int:
        return self.file.width


class FastTextFile:
    """A memory-mapped file of fastText, of which only the rows of the vectors asked for are read.

    The vector of a word is the mean of its own, if it is in the file, and those of its n-grams of characters
    (Bojanowski et al. 2017).

    Raises:
        ValueError: the file is damaged, or of another version, or quantised.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._read_header()
        except struct.error as error:
            raise self._damaged() from error

    def _read_header(self) -> None:
        version = struct.unpack_from("<i", self._content, len(MAGIC))[0]
        if version != _VERSION:
            raise ValueError(f"{self.path}: version {version} of fastText's format; accepted: {_VERSION}")
        place = len(MAGIC) + 4
        self.width, *_, self._buckets, self._shortest, self._longest, _, _ = _OPTIONS.unpack_from(self._content, place)
        place += _OPTIONS.size
        entries, self._words, _, _, pruned = _SIZES.unpack_from(self._content, place)
        self._spellings: list[bytes] = []
        place += _SIZES.size
        for _ in range(entries):
            end = self._content.find(b"\0", place)
            if end < 0:
                raise self._damaged()
            _, is_label = _ENTRY.unpack_from(self._content, end + 1)
            if not is_label:
                self._spellings.append(self._content[place:end])
            place = end + 1 + _ENTRY.size
        quantised, rows, columns = _SHAPE.unpack_from(self._content, place)
        if quantised or pruned > 0:
            raise ValueError(f"{self.path}: a quantised model of fastText; accepted: one that is not, or its .vec file")
        place += _SHAPE.size
        size = rows * columns
        sizes = (len(self._spellings), columns, rows)
        expected = (self._words, self.width, self._words + self._buckets)
        if sizes != expected or self.width < 1 or place + 4 * size > len(self._content):
            raise self._damaged()
        self._matrix = np.frombuffer(self._content, "<f4", size, place).reshape(rows, columns)

    def _damaged(self) -> ValueError:
        return ValueError(f"{self.path} is damaged, or not complete; accepted: a .bin file of fastText")

    def words(self) -> Iterator[Known]:
        """The words in the order of the file: most frequent first."""
        return (Known(self, row, spelling) for row, spelling in enumerate(self._spellings))

    def unknown(self, word: str) -> np.ndarray | None:
        """The vector (D,) of a word that the file does not contain; None if it has no n-grams."""
        rows = self.subword_rows(word.encode(errors="replace"))
        return self.mean(rows) if rows else None

    def mean(self, rows: list[int]) -> np.ndarray:
        vector: np.ndarray = self._matrix[rows].mean(axis=0)
        if not is_finite(vector):
            raise ValueError(f"{self.path}: a value that is not finite; accepted: finite numbers")
        return vector

    def subword_rows(self, word: bytes) -> list[int]:
        """The rows of the n-grams of a word: runs of characters, in UTF-8, of the word between < and >."""
        if not self._buckets:
            return []
        framed = b"<" + word + b">"
        starts = [i for i, byte in enumerate(framed) if byte & 0xC0 != 0x80] + [len(framed)]  # of characters
        rows = []
        for first, start in enumerate(starts[:-1]):
            for length in range(max(1, self._shortest), self._longest + 1):
                if first + length >= len(starts):
                    break
                end = starts[first + length]
                if length > 1 or (start > 0 and end < len(framed)):  # < and > alone are none
                    rows.append(self._words + fasttext_hash(framed[start:end]) % self._buckets)
        return rows


def fasttext_hash(content: bytes) -> int:
    """The 32-bit FNV-1a hash, with each byte extended by its sign, as fastText computes it."""
    value = 2166136261
    for byte in content:
        value = ((value ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) & 0xFFFFFFFF
    return value

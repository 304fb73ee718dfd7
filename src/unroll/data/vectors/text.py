"""Word vectors as text, of GloVe, word2vec and fastText: a word and its numbers on every line."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

HEADER = re.compile(rb"\d+ ([1-9]\d*)")  # number of words and number of dimensions
_LARGEST = float(np.finfo(np.float32).max)


class Line(NamedTuple):
    """A word and `width` numbers, separated by single spaces."""

    name: str
    number: int
    content: bytes
    width: int

    def word(self) -> str:
        spaces = self.content.count(b" ")
        word = self.content.partition(b" ")[0] if spaces == self.width else self.content.rsplit(b" ", self.width)[0]
        # If the last part of a word with spaces is a number, the line has too many values.
        if not 0 < self.width <= spaces or (spaces > self.width and _is_number(word.rpartition(b" ")[2])):
            raise self._error(f"{spaces} values")
        return word.decode(errors="replace")

    def vector(self) -> np.ndarray:
        try:
            vector = np.array([float(field) for field in self.content.split(b" ")[-self.width :]])
        except ValueError as error:
            raise self._error(str(error)) from error
        if not is_finite(vector):
            raise self._error("a value that is not finite")
        return vector

    def _error(self, reason: str) -> ValueError:
        accepted = f"a word and {self.width or 'its'} finite numbers, between single spaces"
        if any(character in self.content.decode(errors="replace") for character in "\0\N{REPLACEMENT CHARACTER}"):
            accepted += "; binary vectors in a file NAME.bin; archives other than ZIP must be unpacked first"
        return ValueError(f"{self.name}, line {self.number}: {reason}; accepted: {accepted}")


def read_lines(stream: BinaryIO, name: str) -> Iterator[Line]:
    """The lines after the header, if any; the first one is checked. `name` is that of the file, for errors."""
    lines = enumerate((line.rstrip() for line in stream), start=1)  # fastText adds a space
    number, content = next(lines, (1, b""))
    content = content.removeprefix(codecs.BOM_UTF8)
    header = HEADER.fullmatch(content)
    if header:
        number, content = next(lines, (2, b""))
    if not content:
        raise ValueError(f"{name}, line {number}: no word vectors")
    first = Line(name, number, content, int(header[1]) if header else content.count(b" "))
    first.word()
    first.vector()
    yield first
    yield from (Line(name, number, content, first.width) for number, content in lines)


def is_finite(vector: np.ndarray) -> bool:
    """Whether all values are finite, also as float32."""
    return bool(np.abs(vector).max() <= _LARGEST)  # False for NaN too


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

"""Reads pretrained word vectors from text files of GloVe, word2vec and fastText."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unroll.data.tokens import SPECIAL_WORDS

_HEADER = re.compile(rb"\d+ ([1-9]\d*)")  # number of words and number of dimensions
_GZIP = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20
_LARGEST = float(np.finfo(np.float32).max)


class PretrainedVectors(NamedTuple):
    """`vectors` (V, D) float32; zero for words that are missing from the file, for which `found` (V,) is False."""

    vectors: np.ndarray
    found: np.ndarray


def check_vectors_file(path: str) -> None:
    if not Path(path).is_file():
        raise ValueError(
            f"vectors={path}: no such file; accepted: a GloVe, word2vec-text or fastText .vec file, plain or gzip"
        )


def read_vectors(path: Path, vocabulary: Sequence[str], entry: Callable[[str], str] = str.lower) -> PretrainedVectors:
    """Read the vectors of the words of a vocabulary from a text file, plain or gzip, in one pass.

    A line consists of a word and D numbers, separated by single spaces. The word is everything before the last D
    fields and may contain spaces. A first line of two integers is a header: the number of words, and D.

    A word of the vocabulary gets the vector of the first line with exactly this word; if there is none, that of the
    first line whose word has the same `entry` of the vocabulary. Special words get none.

    Every line is checked to have D values. They are checked to be finite numbers on the first line and wherever a
    vector is used.

    Raises:
        ValueError: the file cannot be read, has another format, or contains no word of the vocabulary.
    """
    ids = {word: i for i, word in enumerate(vocabulary) if word not in SPECIAL_WORDS}
    found = np.zeros(len(vocabulary), bool)
    exact = np.zeros(len(vocabulary), bool)
    lines = _lines(path)
    first = next(lines)
    vectors = np.zeros((len(vocabulary), first.width), np.float32)
    for line in chain([first], lines):
        word = line.word()
        is_exact = word in ids
        i = ids.get(word if is_exact else entry(word))
        if i is not None and (not found[i] or (is_exact and not exact[i])):
            vectors[i] = line.vector()
            found[i], exact[i] = True, is_exact
    if not found.any():
        raise ValueError(f"{path} contains none of the {len(ids)} words of the vocabulary")
    return PretrainedVectors(vectors, found)


def read_words(path: Path, entry: Callable[[str], str] = str.lower) -> list[str]:
    """The distinct entries of the words in a file of vectors, in the order of the file; see `read_vectors`.

    Raises:
        ValueError: the file cannot be read or has another format.
    """
    return list(dict.fromkeys(entry(line.word()) for line in _lines(path)))


class _Line(NamedTuple):
    """A word and `width` numbers, separated by single spaces."""

    path: Path
    number: int
    content: bytes
    width: int

    def word(self) -> str:
        spaces = self.content.count(b" ")
        word = self.content.partition(b" ")[0] if spaces == self.width else self.content.rsplit(b" ", self.width)[0]
        # If the last part of a word with spaces is a number, the line has too many values.
        if not 0 < self.width <= spaces or (spaces > self.width and _is_number(word.rpartition(b" ")[2])):
            raise self.error(f"{spaces} values")
        return word.decode(errors="replace")

    def vector(self) -> np.ndarray:
        try:
            vector = np.array([float(field) for field in self.content.split(b" ")[-self.width :]])
        except ValueError as error:
            raise self.error(str(error)) from error
        if not np.abs(vector).max() <= _LARGEST:  # False for NaN too
            raise self.error("a value that is not finite")
        return vector

    def error(self, reason: str) -> ValueError:
        accepted = f"a word and {self.width or 'its'} finite numbers, between single spaces"
        if any(character in self.content.decode(errors="replace") for character in "\0\N{REPLACEMENT CHARACTER}"):
            accepted += "; archives must be unpacked first, and binary vectors converted to text"
        return ValueError(f"{self.path}, line {self.number}: {reason}; accepted: {accepted}")


def _lines(path: Path) -> Iterator[_Line]:
    """The lines after the header, if any; the first one is checked."""
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            is_gzip = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            stream = io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER_BYTES) if is_gzip else file
            lines = enumerate((line.rstrip() for line in stream), start=1)  # fastText adds a space
            number, content = next(lines, (1, b""))
            content = content.removeprefix(codecs.BOM_UTF8)
            header = _HEADER.fullmatch(content)
            if header:
                number, content = next(lines, (2, b""))
            if not content:
                raise ValueError(f"{path}, line {number}: no word vectors")
            first = _Line(path, number, content, int(header[1]) if header else content.count(b" "))
            first.word()
            first.vector()
            yield first
            yield from (_Line(path, number, content, first.width) for number, content in lines)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True

"""Reads pretrained word vectors from text files of GloVe, word2vec and fastText."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unroll.data.tokens import SPECIAL_WORDS

_HEADER = re.compile(rb"\d+ ([1-9]\d*)")  # number of words and number of dimensions
_GZIP = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class PretrainedVectors:
    """`vectors` (V, D) float32; zero for words that are missing from the file, for which `found` (V,) is False."""

    vectors: np.ndarray
    found: np.ndarray

    @property
    def coverage(self) -> float:
        """The share of the vocabulary that has a vector."""
        return float(self.found.mean())


def check_vectors_file(path: str) -> None:
    """Raise ValueError if the file does not exist."""
    if not Path(path).is_file():
        formats = "a GloVe, word2vec-text or fastText .vec file, plain or gzip"
        raise ValueError(f"vectors={path}: no such file; accepted: {formats}")


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
    with _open(path) as stream:
        width, lines = _begin(path, stream)
        vectors = np.zeros((len(vocabulary), width), np.float32)
        for number, line in lines:
            try:
                word = _word(line, width)
                is_exact = word in ids
                i = ids.get(word if is_exact else entry(word))
                if i is not None and (not found[i] or (is_exact and not exact[i])):
                    vectors[i] = _vector(line, width)
                    found[i], exact[i] = True, is_exact
            except ValueError as error:
                raise _error(path, number, line, width, error) from error
    if not found.any():
        raise ValueError(f"{path} contains none of the {len(ids)} words of the vocabulary")
    return PretrainedVectors(vectors, found)


def read_words(path: Path, entry: Callable[[str], str] = str.lower) -> list[str]:
    """The distinct entries of the words in a file of vectors, in the order of the file; see `read_vectors`.

    Raises:
        ValueError: the file cannot be read or has another format.
    """
    words: dict[str, None] = {}
    with _open(path) as stream:
        width, lines = _begin(path, stream)
        for number, line in lines:
            try:
                words[entry(_word(line, width))] = None
            except ValueError as error:
                raise _error(path, number, line, width, error) from error
    return list(words)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            is_gzip = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            yield io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER_BYTES) if is_gzip else file
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _begin(path: Path, stream: BinaryIO) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """Return D and the numbered lines after the header, if any; the first one is checked."""
    lines = ((number, line.rstrip()) for number, line in enumerate(stream, start=1))  # fastText adds a space
    number, line = next(lines, (1, b""))
    header = _HEADER.fullmatch(line)
    if header:
        number, line = next(lines, (2, b""))
    if not line:
        raise ValueError(f"{path}, line {number}: no word vectors")
    width = int(header[1]) if header else line.count(b" ")
    try:
        _word(line, width)
        _vector(line, width)
    except ValueError as error:
        raise _error(path, number, line, width, error) from error
    return width, chain([(number, line)], lines)


def _word(line: bytes, width: int) -> str:
    spaces = line.count(b" ")
    word = line.partition(b" ")[0] if spaces == width else line.rsplit(b" ", width)[0]
    # If the last part of a word with spaces is a number, the line has too many values.
    if not 0 < width <= spaces or (spaces > width and _is_number(word.rpartition(b" ")[2])):
        raise ValueError(f"{spaces} values")
    return word.decode(errors="replace")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(line: bytes, width: int) -> np.ndarray:
    vector = np.array([float(field) for field in line.split(b" ")[-width:]])
    if not np.abs(vector).max() <= _LARGEST:  # False for NaN too
        raise ValueError("a value that is not finite")
    return vector


def _error(path: Path, number: int, line: bytes, width: int, reason: ValueError) -> ValueError:
    accepted = f"a word and {width or 'its'} finite numbers, between single spaces"
    try:
        is_text = "\0" not in line.decode()
    except UnicodeDecodeError:
        is_text = False
    hint = "" if is_text else "; archives must be unpacked first, and binary vectors converted to text"
    return ValueError(f"{path}, line {number}: {reason}; accepted: {accepted}{hint}")

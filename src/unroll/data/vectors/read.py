"""Reads the vectors of a vocabulary, or the words, from a file of word vectors, in one pass."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from unroll.data.tokens import SPECIAL_WORDS
from unroll.data.vectors.fasttext import MAGIC, FastTextFile
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.text import read_lines
from unroll.data.vectors.word2vec import read_records


class PretrainedVectors(NamedTuple):
    """`vectors` (V, D) float32; zero for words that are missing from the file, for which `found` (V,) is False."""

    vectors: np.ndarray
    found: np.ndarray


class Entry(Protocol):
    """A word of a file, and its vector, which is read only if it is asked for."""

    @property
    def width(self) -> int: ...

    def word(self) -> str: ...

    def vector(self) -> np.ndarray: ...


def read_vectors(
    file: VectorsFile, vocabulary: Sequence[str], entry: Callable[[str], str] = str.lower
) -> PretrainedVectors:
    """Read the vectors of the words of a vocabulary in one pass, in memory that does not grow with the file.

    Three formats are read: text (`read_lines`), word2vec's binary one (`read_records`) and fastText's (`FastTextFile`,
    whose words are in memory and whose vectors are mapped); the last two in files whose name ends in ``.bin``. In text,
    a line consists of a word and D numbers, separated by single spaces. The word is everything before the last D fields
    and may contain spaces. A first line of two integers is a header: the number of words, and D.

    A word of the vocabulary gets the vector of the first word in the file that is the same; if there is none, that of
    the first word with the same `entry` of the vocabulary; if there is none either, the mean of the vectors of its
    n-grams of characters, which fastText's ``.bin`` files have. Special words get none.

    Every line of text is checked to have D values. They are checked to be finite numbers on the first line and wherever
    a vector is used.

    Args:
        file: in a ZIP archive of several files, one of them; see `VectorsFile.of_width`.
        entry: the entry of the vocabulary for a word.

    Raises:
        ValueError: the file cannot be read, has another format, or contains no word of the vocabulary.
    """
    file = file.of_width()
    ids = {word: i for i, word in enumerate(vocabulary) if word not in SPECIAL_WORDS}
    found = np.zeros(len(vocabulary), bool)
    exact = np.zeros(len(vocabulary), bool)
    with _entries(file) as (entries, subwords):
        vectors = np.zeros((len(vocabulary), subwords.width if subwords else 0), np.float32)
        for it in entries:
            word = it.word()
            is_exact = word in ids
            i = ids.get(word if is_exact else entry(word))
            if not vectors.shape[1]:
                vectors = np.zeros((len(vocabulary), it.width), np.float32)
            if i is not None and (not found[i] or (is_exact and not exact[i])):
                vectors[i] = it.vector()
                found[i], exact[i] = True, is_exact
        if subwords is not None:
            for word, i in ids.items():
                if not found[i] and (vector := subwords.unknown(word)) is not None:
                    vectors[i], found[i] = vector, True
    if not found.any():
        raise ValueError(f"{file} contains none of the {len(ids)} words of the vocabulary")
    return PretrainedVectors(vectors, found)


def read_words(file: VectorsFile, entry: Callable[[str], str] = str.lower, limit: int | None = None) -> list[str]:
    """The distinct entries of the words in a file of vectors, in the order of the file, or the first `limit` of them.

    Raises:
        ValueError: the file cannot be read or has another format.
    """
    with _entries(file.of_width()) as (entries, _):
        return list(islice(_distinct(entry(it.word()) for it in entries), limit))


def _distinct(words: Iterator[str]) -> Iterator[str]:
    seen = set()
    for word in words:
        if word not in seen:
            seen.add(word)
            yield word


@contextmanager
def _entries(file: VectorsFile) -> Iterator[tuple[Iterator[Entry], FastTextFile | None]]:
    """The words of a file; and the file, if it has vectors for other words too."""
    is_binary = str(file).removesuffix(".gz").endswith(".bin")
    with file.open() as stream:
        if not is_binary:
            yield read_lines(stream, str(file)), None
        elif stream.peek(len(MAGIC))[: len(MAGIC)] != MAGIC:  # type: ignore[attr-defined]
            yield read_records(stream, str(file)), None
        elif file.member is not None or file.path.suffix == ".gz":
            raise ValueError(f"{file}: fastText's .bin format is not read from archives; accepted: the unpacked file")
        else:
            known = FastTextFile(file.path)
            yield known.words(), known

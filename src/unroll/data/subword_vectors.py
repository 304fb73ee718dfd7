"""Vectors of any word from its character n-grams (Bojanowski et al. 2017), which are hashed into a table."""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from unroll.data.ragged import Ragged

_BLOCK = 1 << 14  # number of words whose n-grams are in memory at a time


class SubwordVectors:
    """The vectors of words that no vocabulary has: the mean vector of their n-grams.

    Args:
        config: `min_ngram` and `max_ngram`, the numbers of characters of the n-grams, with a mark at both ends of a
            word; `buckets`, the number of rows that they share; and `embedding_size`.
        weights: with `subwords` (buckets, E), the vectors of the n-grams.

    Raises:
        ValueError: `subwords` has another shape.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        self.min_ngram, self.max_ngram, self.buckets = (config[it] for it in ("min_ngram", "max_ngram", "buckets"))
        self.vectors = weights["subwords"]
        if self.vectors.shape != (self.buckets, config["embedding_size"]):
            raise ValueError(
                f"subwords have the shape {self.vectors.shape}; accepted: ({self.buckets}, {config['embedding_size']})"
            )

    def vectors_of(self, words: Sequence[str]) -> np.ndarray:
        """The vectors (N, E) of words as they stand in a vocabulary; zero for a word without n-grams."""
        found = np.zeros((len(words), self.vectors.shape[1]), self.vectors.dtype)
        for start in range(0, len(words), _BLOCK):
            part = words[start : start + _BLOCK]
            rows = ngram_rows(part, self.min_ngram, self.max_ngram, self.buckets)
            has_any = rows.lengths > 0
            sums = np.add.reduceat(self.vectors[rows.values], rows.offsets[:-1][has_any]) if has_any.any() else 0
            found[start : start + len(part)][has_any] = sums / rows.lengths[has_any, None]
        return found


def ngram_rows(words: Sequence[str], shortest: int, longest: int, buckets: int) -> Ragged:
    """The rows, below `buckets`, of the n-grams of each word, which is put between ``<`` and ``>``.

    Without `buckets` there are none.
    """
    lists: list[list[int]] = []
    for word in words:
        marked = f"<{word}>"
        grams = (
            marked[start : start + length]
            for length in range(shortest, longest + 1)
            for start in range(len(marked) - length + 1)
        )
        lists.append([crc32(gram.encode(errors="surrogatepass")) % buckets for gram in grams] if buckets else [])
    return Ragged.from_sequences(lists, np.int64)

"""Interpolated Kneser–Ney trigrams with three discounts (Chen and Goodman 1999): what a language model has to beat."""

from itertools import pairwise

import numpy as np

from unroll.data.ragged import Ragged
from unroll.data.tokens import UNKNOWN


class Order:
    """P(word | context) of one order, interpolated with that of the shorter context.

    Args:
        contexts, words: (M,) non-negative integers, one pair for each event.
        size: above all words.
    """

    def __init__(self, contexts: np.ndarray, words: np.ndarray, size: int) -> None:
        self._size = size
        self._keys, counts = np.unique(contexts * size + words, return_counts=True)
        self._contexts, place = np.unique(self._keys // size, return_inverse=True)
        self._totals = np.bincount(place, counts)
        occurring = np.bincount(np.minimum(counts, 5), minlength=5).clip(min=1)  # n₁ to n₄; clip: of tiny corpora
        share = occurring[1] / (occurring[1] + 2 * occurring[2])
        ratios = occurring[2:5] / occurring[1:4]
        discounts = np.array(
            [0, *(np.arange(1, 4) - np.arange(2, 5) * share * ratios).clip(0.1, np.arange(1, 4) - 0.1)]
        )
        taken = discounts[np.minimum(counts, 3)]
        self._left = counts - taken
        self._reserved = np.bincount(place, taken) / self._totals

    @property
    def types(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct contexts and words of all events."""
        return self._keys // self._size, self._keys % self._size

    def probability(self, contexts: np.ndarray, words: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """Of words (N,) after contexts (N,), given the probabilities (N,) after the shorter contexts."""
        context, is_known = _find(self._contexts, contexts)
        key, is_counted = _find(self._keys, contexts * self._size + words)
        counted = np.where(is_counted, self._left[key], 0) / self._totals[context]
        return np.where(is_known, counted + self._reserved[context] * shorter, shorter)


class Trigrams:
    """A trigram model of documents: a word after the two before it, or the first of a document after one and a mark."""

    def __init__(self, documents: Ragged, vocabulary_size: int) -> None:
        self._size, self._classes = vocabulary_size, vocabulary_size - UNKNOWN
        pairs, words = self._events(documents)
        self._orders = [Order(pairs, words, self._size)]
        for _ in range(2):  # the events of a shorter context are the distinct ones of the longer
            contexts, words = self._orders[-1].types
            self._orders.append(
                Order(contexts % self._size if len(self._orders) == 1 else contexts * 0, words, self._size)
            )

    def log_probabilities(self, documents: Ragged) -> np.ndarray:
        """Of all words but the first of each document, (N,)."""
        pairs, words = self._events(documents)
        found = np.full(len(words), 1 / self._classes)
        for order, contexts in zip(self._orders[::-1], (words * 0, pairs % self._size, pairs), strict=True):
            found = order.probability(contexts, words, found)
        return np.log(found)

    def _events(self, documents: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """The two words before each word but the first of a document, as one number, and the word, (N,) each."""
        values = documents.values.astype(np.int64)
        position = np.arange(len(values)) - np.repeat(documents.offsets[:-1], documents.lengths)
        at = np.flatnonzero(position >= 1)
        before = np.where(position[at] >= 2, values[at - 2], 0)  # the padding stands for the beginning
        return before * self._size + values[at - 1], values[at]


def reversed_documents(documents: Ragged) -> Ragged:
    parts = [documents.values[start:end][::-1] for start, end in pairwise(documents.offsets.tolist())]
    return Ragged(np.concatenate(parts), documents.offsets)


def _find(keys: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each query in the ascending keys, and whether it is there."""
    place = np.searchsorted(keys, queries).clip(max=len(keys) - 1)
    return place, keys[place] == queries

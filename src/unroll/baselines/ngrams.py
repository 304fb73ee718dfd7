"""Runs of words, as numbers, and how often each stands in a text."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from unroll.data.prepared import EncodedSplit


class NgramCounter:
    """Counts n-grams of words.

    An n-gram is one number: its words' ids are the digits, in base `vocabulary_size`. No word has the id 0, so those
    of different lengths differ.

    Args:
        ngram_range: the fewest and the most words of an n-gram.

    Raises:
        ValueError: the range is none, or its n-grams are too long to be numbers of 64 bits.
    """

    def __init__(self, vocabulary_size: int, ngram_range: Sequence[int]) -> None:
        limit = int(63 / np.log2(vocabulary_size))
        if len(ngram_range) != 2 or not 1 <= ngram_range[0] <= ngram_range[1] <= limit:
            raise ValueError(
                f"ngram_range={ngram_range}; accepted: the fewest and the most words of an n-gram, "
                f"from 1 to {limit} where the vocabulary has {vocabulary_size:,}"
            )
        self._vocabulary_size = vocabulary_size
        self._shortest, self._longest = ngram_range

    def distinct(self, split: EncodedSplit, min_count: int) -> np.ndarray:
        """The n-grams that stand in `min_count` texts at least, sorted, (K,)."""
        numbers, texts = self._read(split)
        found, ranks = np.unique(numbers, return_inverse=True)
        in_texts = np.unique(ranks * len(split) + texts) // len(split)  # each rank once for each text that has it
        return found[np.bincount(in_texts, minlength=len(found)) >= min_count]

    def count(self, split: EncodedSplit, ngrams: np.ndarray) -> sparse.csr_array:
        """How often each of the sorted `ngrams` (K,) stands in each text, (N, K)."""
        numbers, texts = self._read(split)
        columns = np.searchsorted(ngrams, numbers)
        known = np.append(ngrams, -1)[columns] == numbers
        places = texts[known], columns[known]
        return sparse.coo_array((np.ones(len(places[0])), places), (len(split), len(ngrams))).tocsr()

    def _read(self, split: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
        """Every n-gram of the split and the text that it stands in, (P,) each."""
        words = split.table.words[split.tokens]  # (M,)
        texts = np.repeat(np.arange(len(split)), split.lengths)
        numbers = np.zeros(len(words) + 1, np.int64)
        found = []
        for length in range(1, self._longest + 1):
            numbers = numbers[:-1] * self._vocabulary_size + words[length - 1 :]  # each n-gram goes on by a word
            is_inside = texts[: len(numbers)] == texts[length - 1 :]
            if length >= self._shortest:
                found.append((numbers[is_inside], texts[: len(numbers)][is_inside]))
        return np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found])

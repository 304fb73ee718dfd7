"""n-grams of words, encoded as integers, and their counts in texts."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from unroll.data.prepared import EncodedSplit


class NgramCounter:
    """Counts n-grams of `ngram_range` (minimum and maximum number of) words, which must fit into 64 bits.

    An n-gram is encoded as an integer whose digits in base `vocabulary_size` are the ids of its words. No word has the
    id 0, so that n-grams of different lengths have different codes.
    """

    def __init__(self, vocabulary_size: int, ngram_range: Sequence[int]) -> None:
        limit = int(63 / np.log2(vocabulary_size))
        if len(ngram_range) != 2 or not 1 <= ngram_range[0] <= ngram_range[1] <= limit:
            raise ValueError(
                f"ngram_range={ngram_range}; accepted: minimum and maximum number of words in an n-gram, "
                f"from 1 to {limit} for a vocabulary of {vocabulary_size:,} words"
            )
        self._vocabulary_size = vocabulary_size
        self._shortest, self._longest = ngram_range

    def distinct(self, split: EncodedSplit, min_count: int) -> np.ndarray:
        """Sorted codes (K,) of the n-grams that occur in at least `min_count` texts."""
        codes, texts = self._encode(split)
        distinct, ranks = np.unique(codes, return_inverse=True)
        once_per_text = np.unique(ranks * len(split) + texts) // len(split)  # ranks
        return distinct[np.bincount(once_per_text, minlength=len(distinct)) >= min_count]

    def count(self, split: EncodedSplit, ngrams: np.ndarray) -> sparse.csr_array:
        """Number of occurrences (N, K) of the sorted `ngrams` (K,) in each of N texts."""
        codes, texts = self._encode(split)
        columns = np.searchsorted(ngrams, codes)
        known = np.append(ngrams, -1)[columns] == codes
        indices = texts[known], columns[known]
        return sparse.coo_array((np.ones(len(indices[0])), indices), (len(split), len(ngrams))).tocsr()

    def _encode(self, split: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
        """Codes of all n-grams of the split and the indices of their texts, (P,) each."""
        words = split.table.words[split.tokens]  # (M,)
        texts = np.repeat(np.arange(len(split)), split.lengths)
        codes = np.zeros(len(words) + 1, np.int64)
        parts = []
        for length in range(1, self._longest + 1):
            codes = codes[:-1] * self._vocabulary_size + words[length - 1 :]  # append a word to each n-gram
            is_inside = texts[: len(codes)] == texts[length - 1 :]
            if length >= self._shortest:
                parts.append((codes[is_inside], texts[: len(codes)][is_inside]))
        return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])

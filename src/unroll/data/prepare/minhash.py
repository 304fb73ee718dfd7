"""Texts that are nearly the same, found without comparing every two."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASHES = 64  # a multiple of BANDS
BANDS = 16
SIMILAR = 0.8  # share of the signature that two near duplicates have in common
NEIGHBOURS = 8  # of a bucket that a text is compared with
_STEP = 1 << 16  # bigrams that are hashed at a time, so that they stay in the processor's cache
_MIX = np.uint64(0x9E3779B97F4A7C15)


class NearDuplicates:
    """MinHash (Broder 1997) over the pairs of neighbouring words, with banding (Leskovec et al. 2020, chapter 3).

    Of each of 64 hash functions a text keeps the smallest value among its pairs, so two texts agree in as large a
    share of these as they have pairs in common. One permutation does for all functions (Li, Owen and Zhang 2012): each
    takes its own 64th of the pairs, and where a text has none there, borrows from the next that has (Shrivastava and
    Li 2014).
    """

    def __init__(self) -> None:
        self._signatures = [np.zeros((0, HASHES), np.uint16)]
        self._is_empty = [np.zeros(0, bool)]

    def add(self, words: np.ndarray, offsets: np.ndarray) -> None:
        """Add N texts: text i is `words[offsets[i]:offsets[i + 1]]`, of words (M,) as numbers."""
        lengths = np.diff(offsets)
        count = len(lengths)
        smallest = np.full((count, HASHES), np.iinfo(np.uint64).max, np.uint64)
        # (M,) a pair begins at each word but the last; a text of a single word has that one.
        texts = np.repeat(np.arange(count), lengths)
        hashes = np.zeros(len(words), np.uint64)
        following = np.append(words[1:], 0).astype(np.uint64)
        ends = offsets[1:][lengths > 0] - 1
        following[ends] = 0
        hashes = _mixed(words.astype(np.uint64) << np.uint64(32) | following)
        is_pair = np.ones(len(words), bool)
        is_pair[ends[lengths[lengths > 0] > 1]] = False
        for start in range(0, len(words), _STEP):
            stretch = slice(start, start + _STEP)
            kept = hashes[stretch][is_pair[stretch]]
            cells = texts[stretch][is_pair[stretch]] * HASHES + (kept >> np.uint64(58)).astype(np.int64)
            np.minimum.at(smallest.reshape(-1), cells, kept << np.uint64(6))
        self._signatures.append(_borrowed(smallest))
        self._is_empty.append(lengths == 0)

    def groups(self) -> np.ndarray:
        """(N,) int64: equal for near duplicates of one another, and of the same other text; from 0 by first text."""
        signatures, is_empty = np.concatenate(self._signatures), np.concatenate(self._is_empty)
        count = len(signatures)
        bands = signatures.view(np.uint64)  # (N, BANDS), four values of 16 bits each
        texts = np.flatnonzero(~is_empty)
        pairs = [np.zeros((2, 0), np.int64)]
        for band in range(BANDS):
            keys = bands[texts, band]
            order = texts[np.argsort(keys, kind="stable")]
            keys = bands[order, band]
            for step in range(1, NEIGHBOURS + 1):
                near = np.flatnonzero(keys[step:] == keys[:-step])
                a, b = order[near], order[near + step]
                pairs.append(np.stack([a, b])[:, _similar(signatures, a, b)])
        a, b = np.concatenate(pairs, axis=1)
        _, labels = connected_components(coo_array((np.ones(len(a), bool), (a, b)), (count, count)), directed=False)
        return _by_first_text(labels)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Every bit of 64 depends on all bits (SplitMix64: Steele et al. 2014)."""
    values = values * _MIX + _MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _borrowed(smallest: np.ndarray) -> np.ndarray:
    """(N, HASHES) uint64 → 16 bits each; where there is none, the next one's, mixed with how far away it was."""
    missing = np.iinfo(np.uint64).max
    twice = np.concatenate([smallest, smallest], axis=1)
    places = np.where(twice == missing, 2 * HASHES, np.arange(2 * HASHES))
    nexts = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1][:, :HASHES]  # (N, HASHES)
    steps = (nexts - np.arange(HASHES)).astype(np.uint64)
    found = np.take_along_axis(twice, np.minimum(nexts, 2 * HASHES - 1), axis=1)
    return (_mixed(found + steps * _MIX) & np.uint64(0xFFFF)).astype(np.uint16)


def _similar(signatures: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which of the pairs of texts agree in enough of their signatures."""
    similar = np.zeros(len(a), bool)
    for start in range(0, len(a), _STEP):
        stretch = slice(start, start + _STEP)
        similar[stretch] = (signatures[a[stretch]] == signatures[b[stretch]]).mean(axis=1) >= SIMILAR
    return similar


def _by_first_text(labels: np.ndarray) -> np.ndarray:
    _, firsts, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbers: np.ndarray = np.argsort(np.argsort(firsts))[inverse]
    return numbers

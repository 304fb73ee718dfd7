"""Finds near duplicates with MinHash, without comparing all pairs of texts."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unroll.data.ragged import Ragged

HASHES = 64  # a multiple of BANDS
BANDS = 16
SIMILAR = 0.8  # minimum share of equal values in the signatures of near duplicates
NEIGHBOURS = 8  # number of texts of a bucket, with other signatures, that each text is compared with
_STEP = 1 << 16  # number of pairs that are processed at a time, so that they stay in the CPU cache
_MIX = np.uint64(0x9E3779B97F4A7C15)


class MinHash:
    """MinHash (Broder 1997) over pairs of adjacent words, with banding (Leskovec et al. 2020, chapter 3).

    The signature of a text consists of the minimum of 64 hash functions over its pairs; the expected share of equal
    values in two signatures is the Jaccard similarity of the texts. One permutation replaces the 64 functions (Li,
    Owen and Zhang 2012): each function uses its own 64th of the hash values, and one without values copies from the
    next function that has some (Shrivastava and Li 2014).
    """

    def __init__(self) -> None:
        self._signatures = [np.zeros((0, HASHES), np.uint16)]
        self._is_empty = [np.zeros(0, bool)]

    def add(self, texts: Ragged) -> None:
        """Add texts, given as the ids of their words."""
        words, lengths, count = texts.values, texts.lengths, len(texts)
        smallest = np.full((count, HASHES), np.iinfo(np.uint64).max, np.uint64)
        # (M,) a pair starts at each word but the last; a text of a single word has one pair.
        owners = np.repeat(np.arange(count), lengths)
        following = np.append(words[1:], 0).astype(np.uint64)
        ends = texts.offsets[1:][lengths > 0] - 1
        following[ends] = 0
        hashes = _mixed(words.astype(np.uint64) << np.uint64(32) | following)
        is_pair = np.ones(len(words), bool)
        is_pair[ends[lengths[lengths > 0] > 1]] = False
        for start in range(0, len(words), _STEP):
            stretch = slice(start, start + _STEP)
            kept = hashes[stretch][is_pair[stretch]]
            cells = owners[stretch][is_pair[stretch]] * HASHES + (kept >> np.uint64(58)).astype(np.int64)
            np.minimum.at(smallest.reshape(-1), cells, kept << np.uint64(6))
        self._signatures.append(_borrowed(smallest))
        self._is_empty.append(lengths == 0)

    def groups(self, keys: np.ndarray) -> np.ndarray:
        """The group (N,) of each text: connected components of near duplicates.

        Texts with equal signatures are always in one group.

        Args:
            keys: (N,) uint64; texts without words, which have no signatures, are in one group if their keys are equal.
        """
        signatures, is_empty = np.concatenate(self._signatures), np.concatenate(self._is_empty)
        keys = np.where(is_empty, keys, _digests(signatures.view(np.uint64)))
        _, firsts, same = np.unique(keys, return_index=True, return_inverse=True)
        signatures, is_empty = signatures[firsts], is_empty[firsts]  # (D,) distinct
        count = len(signatures)
        bands = signatures.view(np.uint64)  # (D, BANDS), four values of 16 bits each
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
        _, groups = connected_components(coo_array((np.ones(len(a), bool), (a, b)), (count, count)), directed=False)
        return groups[same]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Hash 64-bit integers with SplitMix64 (Steele et al. 2014)."""
    values = values * _MIX + _MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _digests(bands: np.ndarray) -> np.ndarray:
    """64-bit hashes (N,) of signatures, given as (N, BANDS) uint64."""
    digests = np.zeros(len(bands), np.uint64)
    for band in bands.T:
        digests = _mixed(digests ^ band)
    return digests


def _borrowed(smallest: np.ndarray) -> np.ndarray:
    """Reduce minima (N, HASHES) uint64 to 16 bits; missing ones are derived from the next one and its distance."""
    missing = np.iinfo(np.uint64).max
    twice = np.concatenate([smallest, smallest], axis=1)
    present = np.where(twice == missing, 2 * HASHES, np.arange(2 * HASHES))
    nexts = np.minimum.accumulate(present[:, ::-1], axis=1)[:, ::-1][:, :HASHES]  # (N, HASHES)
    steps = (nexts - np.arange(HASHES)).astype(np.uint64)
    found = np.take_along_axis(twice, np.minimum(nexts, 2 * HASHES - 1), axis=1)
    return (_mixed(found + steps * _MIX) & np.uint64(0xFFFF)).astype(np.uint16)


def _similar(signatures: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether the signatures of the texts a[i] and b[i] are similar enough, (P,) bool."""
    similar = np.zeros(len(a), bool)
    for start in range(0, len(a), _STEP):
        stretch = slice(start, start + _STEP)
        similar[stretch] = (signatures[a[stretch]] == signatures[b[stretch]]).mean(axis=1) >= SIMILAR
    return similar

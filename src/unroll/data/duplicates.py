"""Texts that stand more than once: with the same tokens, or with the same words."""

from hashlib import blake2b
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from unroll.data.encoding import DistinctTokens
from unroll.data.rows import SplitRows

Sameness = Literal["tokens", "words"]


class TextKeys(NamedTuple):
    """A key a text; texts of one key are the same.

    `tokens`: as they are written. `words`: in lower case and without punctuation, unless there is nothing else.
    """

    tokens: list[bytes]
    words: list[bytes]


def text_keys(rows: SplitRows, distinct: DistinctTokens) -> TextKeys:
    """The keys of every text of a split."""
    words: dict[str, int] = {}
    is_word = [any(map(str.isalnum, token)) for token in distinct]
    ids = [
        words.setdefault(token.lower(), len(words) + 1) if kept else 0
        for token, kept in zip(distinct, is_word, strict=True)
    ]
    lowered = np.array([0, *ids], np.int32)[rows.tokens]  # (M,), 0 at punctuation
    ends = np.concatenate([[0], np.cumsum(lowered > 0)])[rows.offsets]  # (N + 1,) as offsets, of words alone
    tokens = _digests(rows.tokens, rows.offsets, b"tokens")
    only_words = _digests(lowered[lowered > 0], ends, b"words")
    # Dots are not the same as dashes.
    has_words = np.diff(ends) > 0
    keys = [key if has else whole for key, whole, has in zip(only_words, tokens, has_words, strict=True)]
    return TextKeys(tokens, keys)


def count_duplicates(keys: dict[str, TextKeys]) -> dict[str, dict[str, int]]:
    """By sameness: the rows of a split that repeat an earlier one of it, and under "a, b" those of b that are in a."""
    pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
    counts = {}
    for kind in TextKeys._fields:
        of = {split: getattr(split_keys, kind) for split, split_keys in keys.items()}
        sets = {split: set(split_keys) for split, split_keys in of.items()}
        repeated = {split: len(of[split]) - len(sets[split]) for split in of}
        shared = {f"{a}, {b}": sum(key in sets[a] for key in of[b]) for a, b in pairs}
        counts[kind] = repeated | shared
    return counts


def drop_leaks(train: SplitRows, keys: dict[str, TextKeys], sameness: Sameness) -> SplitRows:
    """`train` without the texts that stand in validation or test too; those are quarantined."""
    of = {split: getattr(split_keys, sameness) for split, split_keys in keys.items()}
    elsewhere = {key: split for split in ("validation", "test") for key in of[split]}
    found = [elsewhere.get(key) for key in of["train"]]
    leaks = [(int(train.rows[i]), f"the text is in {split} too") for i, split in enumerate(found) if split]
    kept = train.take(np.array([i for i, split in enumerate(found) if split is None], np.int64))
    return SplitRows(kept.tokens, kept.labels, kept.offsets, kept.rows, sorted(train.quarantined + leaks))


def _digests(values: np.ndarray, offsets: np.ndarray, kind: bytes) -> list[bytes]:
    """Sixteen bytes for each stretch of values, which would be a second copy of the data; equal only within a kind."""
    return [blake2b(values[a:b].tobytes(), digest_size=16, person=kind).digest() for a, b in pairwise(offsets)]

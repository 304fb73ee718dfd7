"""Texts that stand more than once: with the same tokens, the same words, or nearly the same."""

from hashlib import blake2b
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from unroll.data.prepare.minhash import NearDuplicates
from unroll.data.prepare.split_rows import SplitRows

Sameness = Literal["tokens", "words", "near"]


class TextKeys(NamedTuple):
    """A key a text, (N,); texts of one key are the same.

    `tokens`: as they are written. `words`: in lower case and without punctuation, unless there is nothing else.
    `near`: four in five of the pairs of neighbouring words are the same.
    """

    tokens: np.ndarray
    words: np.ndarray
    near: np.ndarray


def text_keys(splits: dict[str, SplitRows]) -> dict[str, TextKeys]:
    """The keys of every text of the splits of one corpus."""
    corpus = next(iter(splits.values())).corpus
    numbers: dict[str, int] = {}
    lowered = np.zeros(len(corpus.distinct) + 1, np.int32)  # 0 where a token is punctuation
    for i, token in enumerate(corpus.distinct, start=1):
        if any(map(str.isalnum, token)):
            lowered[i] = numbers.setdefault(token.lower(), len(numbers) + 1)
    near = NearDuplicates()
    exact = {split: _exact_keys(rows, lowered, near) for split, rows in splits.items()}
    groups = np.split(near.groups(), np.cumsum([len(rows) for rows in splits.values()])[:-1])
    return {split: TextKeys(*exact[split], of_split) for split, of_split in zip(splits, groups, strict=True)}


def count_duplicates(keys: dict[str, TextKeys]) -> dict[str, dict[str, int]]:
    """By sameness: the rows of a split that repeat an earlier one of it, and under "a, b" those of b that are in a."""
    pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
    counts = {}
    for kind in TextKeys._fields:
        of = {split: getattr(split_keys, kind) for split, split_keys in keys.items()}
        repeated = {split: len(found) - len(np.unique(found)) for split, found in of.items()}
        shared = {f"{a}, {b}": int(np.isin(of[b], of[a]).sum()) for a, b in pairs}
        counts[kind] = repeated | shared
    return counts


def drop_leaks(train: SplitRows, keys: dict[str, TextKeys], sameness: Sameness) -> SplitRows:
    """`train` without the texts that stand in validation or test too; those are quarantined."""
    of = {split: getattr(split_keys, sameness) for split, split_keys in keys.items()}
    leaks = []
    is_leak = np.zeros(len(train), bool)
    for split in ("test", "validation"):
        found = np.isin(of["train"], of[split]) & ~is_leak
        is_leak |= found
        leaks += [(int(row), f"the text is in {split} too") for row in train.rows[found]]
    kept = train.take(np.flatnonzero(~is_leak))
    return kept.with_quarantined(leaks)


def _exact_keys(rows: SplitRows, lowered: np.ndarray, near: NearDuplicates) -> tuple[np.ndarray, np.ndarray]:
    """The keys of a split's tokens and words; `near` is given the words."""
    tokens, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for block in rows.blocks():
        written = _digests(block.tokens, block.offsets, b"tokens")
        of_block = lowered[block.tokens]  # (M,)
        ends = np.concatenate([[0], np.cumsum(of_block > 0)])[block.offsets]  # (N + 1,) as offsets, of words alone
        of_block = of_block[of_block > 0]
        near.add(of_block, ends)
        tokens.append(written)
        # Dots are not the same as dashes.
        words.append(np.where(np.diff(ends) > 0, _digests(of_block, ends, b"words"), written))
    return np.concatenate(tokens), np.concatenate(words)


def _digests(values: np.ndarray, offsets: np.ndarray, kind: bytes) -> np.ndarray:
    """(N,) 64 bits for each stretch of values; equal only within a kind, but for one chance in 2⁶⁴ a pair."""
    data = np.ascontiguousarray(values).data.cast("B")
    places = pairwise((offsets * values.itemsize).tolist())
    digests = (blake2b(data[a:b], digest_size=8, person=kind).digest() for a, b in places)
    return np.frombuffer(b"".join(digests), np.uint64)

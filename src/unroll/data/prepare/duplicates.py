"""Finds duplicate texts: with the same tokens, the same words, or nearly the same words."""

from dataclasses import replace
from hashlib import blake2b
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from unroll.data.prepare.minhash import MinHash
from unroll.data.prepare.split_rows import SplitRows
from unroll.data.ragged import Ragged
from unroll.data.source import SPLITS

Sameness = Literal["tokens", "words", "near"]
TextKeys = dict[str, np.ndarray]  # the keys (N,) of the texts of each split; texts with equal keys are duplicates


def text_keys(splits: dict[str, SplitRows]) -> dict[Sameness, TextKeys]:
    """Compute the keys of all texts; the splits belong to one corpus.

    Texts have equal keys `tokens` for the same tokens; `words` for the same words in lower case, without punctuation
    (unless a text is only punctuation); and `near` for the same words too, or if they share about 80 % or more of their
    pairs of adjacent words.
    """
    corpus = next(iter(splits.values())).corpus
    numbers: dict[str, int] = {}
    lowered = np.zeros(len(corpus.distinct) + 1, np.int32)  # 0 for punctuation
    for i, token in enumerate(corpus.distinct, start=1):
        if any(map(str.isalnum, token)):
            lowered[i] = numbers.setdefault(token.lower(), len(numbers) + 1)
    tokens, words, near = {}, {}, MinHash()
    for split, rows in splits.items():
        tokens[split], words[split] = _exact_keys(rows, lowered, near)
    groups = near.groups(np.concatenate([*words.values()]))
    of_splits = Ragged.from_lengths(groups, [len(rows) for rows in splits.values()])
    return {"tokens": tokens, "words": words, "near": dict(zip(splits, of_splits, strict=True))}


def count_duplicates(keys: dict[Sameness, TextKeys]) -> dict[str, dict[str, int]]:
    """Count duplicates for each kind of key.

    The entry "a" is the number of rows of split a that repeat an earlier row of it; "a, b" is the number of rows of
    b whose text is also in a.
    """
    counts: dict[str, dict[str, int]] = {}
    for kind, of in keys.items():
        repeated = {split: len(found) - len(np.unique(found)) for split, found in of.items()}
        shared = {f"{a}, {b}": int(np.isin(of[b], of[a]).sum()) for a, b in combinations(SPLITS, 2)}
        counts[kind] = repeated | shared
    return counts


def drop_leaks(train: SplitRows, keys: TextKeys) -> SplitRows:
    """Quarantine the training rows whose text is also in validation or test."""
    is_in = [np.isin(keys["train"], keys[split]) for split in ("test", "validation")]
    where = np.select(is_in, ["test", "validation"], "")
    is_leak = where != ""
    leaks = zip(train.rows[is_leak].tolist(), [f"the text is in {split} too" for split in where[is_leak]], strict=True)
    return replace(train.take(np.flatnonzero(~is_leak)), quarantined=sorted([*train.quarantined, *leaks]))


def _exact_keys(rows: SplitRows, lowered: np.ndarray, near: MinHash) -> tuple[np.ndarray, np.ndarray]:
    """The keys by tokens and by words of a split; its words are also added to `near`."""
    tokens, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for block in rows.blocks():
        written = _digests(block, b"tokens")
        ids = lowered[block.values]  # (M,)
        offsets = np.concatenate([[0], np.cumsum(ids > 0)])[block.offsets]  # without punctuation
        of_block = Ragged(ids[ids > 0], offsets)
        near.add(of_block)
        tokens.append(written)
        # Texts of punctuation alone are compared by their tokens.
        words.append(np.where(of_block.lengths > 0, _digests(of_block, b"words"), written))
    return np.concatenate(tokens), np.concatenate(words)


def _digests(sequences: Ragged, kind: bytes) -> np.ndarray:
    """64-bit hashes (N,) of the sequences; `kind` makes hashes of tokens and of words different."""
    data = np.ascontiguousarray(sequences.values).data.cast("B")
    offsets = pairwise((sequences.offsets * sequences.values.itemsize).tolist())
    digests = (blake2b(data[a:b], digest_size=8, person=kind).digest() for a, b in offsets)
    return np.frombuffer(b"".join(digests), np.uint64)

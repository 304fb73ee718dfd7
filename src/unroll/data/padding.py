"""Padded batches of encoded sequences, as NumPy arrays."""

from typing import TYPE_CHECKING, Generic, NamedTuple

import numpy as np

from unroll.data.tokens import IGNORE, PADDING, TOKEN_TASKS, Array, Spelling, Tokens

if TYPE_CHECKING:
    from unroll.data.prepared import EncodedSplit


class Batch(NamedTuple, Generic[Array]):
    """B sequences with their labels.

    Shapes: `labels` (B,) for classification, (B, L) bool for multilabel, or (B, T) with IGNORE at padding for
    labeling; `positions` (B,) the positions of the sequences in the split.
    """

    tokens: Tokens[Array]
    labels: Array
    positions: Array


def cut(order: np.ndarray, lengths: np.ndarray, batch_size: int, batch_tokens: int | None = None) -> list[np.ndarray]:
    """Divide the positions `order` into batches, in that order.

    Args:
        lengths: the number of tokens of the sequence at each position.
        batch_size: maximum number of sequences in a batch.
        batch_tokens: maximum number of tokens in a batch, including padding; a longer sequence is a batch by itself.
    """
    if batch_tokens is None:
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches, start = [], 0
    while start < len(order):
        some = order[start : start + batch_size]
        padded = np.maximum.accumulate(lengths[some]) * np.arange(1, len(some) + 1)
        end = start + max(1, int((padded <= batch_tokens).sum()))
        batches.append(order[start:end])
        start = end
    return batches


def pad(split: "EncodedSplit", index: np.ndarray, characters: bool = False) -> Batch[np.ndarray]:
    """Copy the sequences at the positions `index` (B,) of a split into a padded batch."""
    positions, mask = split.sequences.positions(index)  # (B, T)
    tokens = np.where(mask, split.tokens[positions], PADDING)
    if split.task in TOKEN_TASKS:
        labels = np.where(mask, split.labels[positions], IGNORE)  # (B, T)
    else:
        labels = np.array(split.labels[index])  # (B,) or (B, L)
    spelling = None
    if characters:
        size = len(split.table.words)
        # A text to predict has a table of its own tokens and padding; to look for the distinct ones would take longer.
        if len(index) == len(split) and size <= tokens.size + 1:
            distinct, rows = np.arange(size), tokens.astype(np.int64)
        else:
            distinct, rows = np.unique(tokens, return_inverse=True)  # (U,), (B, T)
        spelling = Spelling(split.table.spell(distinct), rows)
    words, casing = split.table.words[tokens], split.table.casing[tokens]
    return Batch(Tokens(words, casing, split.lengths[index], spelling), labels, index)

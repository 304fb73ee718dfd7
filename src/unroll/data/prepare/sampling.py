"""Rows drawn from a split, by seed and with equal shares of the labels."""

from dataclasses import replace

import numpy as np

from unroll.data.prepare.split_rows import SplitRows
from unroll.data.source import Source


def carve(train: SplitRows, source: Source, option: str, fraction: float, seed: int) -> tuple[SplitRows, SplitRows]:
    """Split train in two, with equal label shares where each sequence has one label; the second has `fraction` of it.

    Args:
        option: that gave the fraction, for the error.

    Raises:
        ValueError: too few rows, or too few of a label.
    """
    from sklearn.model_selection import train_test_split

    try:
        kept, carved = train_test_split(
            np.arange(len(train)),
            test_size=fraction,
            random_state=seed,
            stratify=train.labels if source.task == "classification" else None,
        )
    except ValueError as error:
        raise ValueError(
            f"{option}={fraction:g} of the {len(train)} training rows of {source.path} cannot be carved: {error}"
        ) from error
    # What is quarantined stays counted with train.
    return train.take(np.sort(kept)), replace(train.take(np.sort(carved)), quarantined=[])


def limit_rows(rows: SplitRows, source: Source, limit: int, seed: int) -> SplitRows:
    """At most `limit` of the rows, in their order; of each label its share, where each sequence has one label."""
    count = len(rows)
    labels = np.zeros(count, np.int64)
    if source.task == "classification" and rows.labels is not None:
        labels = rows.labels
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(labels[order], kind="stable")]  # label by label, at random within each
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    # What share of its label's rows comes before a row: taking the smallest takes as large a share of every label.
    shares = (np.arange(count) - starts[labels[order]] + 0.5) / sizes[labels[order]]
    return rows.take(np.sort(order[np.argsort(shares, kind="stable")[:limit]]))

"""Draws stratified random subsets of a split."""

from dataclasses import replace

import numpy as np
import pandas as pd

from unroll.data.prepare.split_rows import SplitRows
from unroll.data.source import Source


def carve(train: SplitRows, source: Source, option: str, fraction: float, seed: int) -> tuple[SplitRows, SplitRows]:
    """Divide the training split in two, stratified by label if each sequence has exactly one.

    The second part has the share `fraction`, the value of the option `option`; ValueError if there are too few rows.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(train))
    try:
        kept, carved = train_test_split(rows, test_size=fraction, random_state=seed, stratify=train.strata)
    except ValueError as error:
        raise ValueError(
            f"{option}={fraction:g} cannot be drawn from the {len(train)} training rows of {source.path}: {error}"
        ) from error
    # Quarantined rows remain counted in train.
    return train.take(np.sort(kept)), replace(train.take(np.sort(carved)), quarantined=[])


def limit_rows(rows: SplitRows, limit: int, seed: int) -> SplitRows:
    """Draw at most `limit` rows, stratified by label if each sequence has exactly one; their order is kept."""
    count = len(rows)
    labels = np.zeros(count, np.int64) if rows.strata is None else rows.strata
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(labels[order], kind="stable")]  # grouped by label, random within each
    by_label = pd.Series(order).groupby(labels[order])
    # The share of its label's rows that precede a row; taking the smallest gives every label the same share.
    shares = ((by_label.cumcount() + 0.5) / by_label.transform("size")).to_numpy()
    return rows.take(np.sort(order[np.argsort(shares, kind="stable")[:limit]]))

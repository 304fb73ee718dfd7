"""Predictions and counts of made-up models."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def classified(*runs: str) -> list[pd.DataFrame]:
    """One run a string: 1 where an example is right."""
    return [
        pd.DataFrame({"row": range(len(run)), "label": "yes", "predicted": ["yes" if c == "1" else "no" for c in run]})
        for run in runs
    ]


def accuracy_counts(right: NDArray[np.bool_]) -> Counts:
    """(K, N) → (K, N, 3)."""
    return np.stack([right, np.ones_like(right), np.ones_like(right)], axis=-1).astype(np.int64)


def entity_counts(generator: np.random.Generator, runs: int, gold: NDArray[np.int64], skill: float) -> Counts:
    """Sentences with `gold` entities, (N,); found as easily as model, run and sentence allow."""
    ease = np.clip(skill + generator.normal(0, 0.1, (runs, 1)) + generator.normal(0, 0.3, len(gold)), 0, 1)
    right = generator.binomial(gold, ease)
    found = right + generator.binomial(2, 0.2, right.shape)
    return np.stack([right, found, np.broadcast_to(gold, right.shape)], axis=-1)

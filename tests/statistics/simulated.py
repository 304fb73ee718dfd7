"""Counts of simulated models."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def accuracy_counts(right: NDArray[np.bool_]) -> Counts:
    """(K, N) → (K, N, 3)."""
    return np.stack([right, np.ones_like(right), np.ones_like(right)], axis=-1).astype(np.int64)


def entity_counts(generator: np.random.Generator, runs: int, gold: NDArray[np.int64], skill: float) -> Counts:
    """Sentences with `gold` entities, (N,); their difficulty depends on model, run and sentence."""
    ease = np.clip(skill + generator.normal(0, 0.1, (runs, 1)) + generator.normal(0, 0.3, len(gold)), 0, 1)
    right = generator.binomial(gold, ease)
    found = right + generator.binomial(2, 0.2, right.shape)
    return np.stack([right, found, np.broadcast_to(gold, right.shape)], axis=-1)

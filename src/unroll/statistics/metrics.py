"""Scores computed from counts and confidences."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]  # of the runs of a model, (K, N, 3): K runs, N examples; items right, found and gold
CALIBRATION_BINS = 15


def micro_f1(counts: Counts) -> NDArray[np.float64]:
    """Micro-averaged F1, 2 right / (found + gold), over N examples; 0 where nothing is found and nothing is gold.

    counts: (…, N, 3) → (…,). With one label found and one gold per example it is the accuracy.
    """
    right, found, gold = np.moveaxis(counts.sum(axis=-2), -1, 0)
    return np.asarray(2 * right / np.maximum(found + gold, 1))


def precision_recall_f1(right: ArrayLike, found: ArrayLike, gold: ArrayLike) -> list[NDArray[np.float64]]:
    """Precision, recall and F1 of counts of equal shape; 0 where a denominator is 0, as ``conlleval`` prints."""
    hits, given, true = np.asarray(right), np.asarray(found), np.asarray(gold)
    ratios = ((hits, given), (hits, true), (2 * hits, given + true))
    return [np.asarray(part / np.maximum(whole, 1)) for part, whole in ratios]


def calibration_error(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3) with 15 bins ((m − 1) / 15, m / 15].

    confidences, correct: (N,) the probability of each prediction, and whether it is right.

    Raises:
        ValueError: a confidence is not a probability.
    """
    confidence, hits = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    tolerance = 1e-4  # float32 softmax and CRF marginals exceed 1 by rounding errors
    outside = ~((confidence >= 0) & (confidence <= 1 + tolerance))
    if outside.any():
        raise ValueError(f"confidence={confidence[outside][0]} is not a probability; accepted: 0 to 1")
    inner_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    # |B_m| / N * |acc(B_m) - conf(B_m)| = |sum of (hit - confidence) over B_m| / N
    gaps = np.bincount(np.digitize(confidence, inner_edges, right=True), weights=hits - confidence)
    return float(np.abs(gaps).sum() / len(confidence))

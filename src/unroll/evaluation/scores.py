"""Scores of one model's predictions on the test split. All are fractions in 0..1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

MAIN_METRIC = {"classification": "accuracy", "labeling": "f1", "multilabel": "f1"}
TITLES: dict[str, dict[str, str]] = {
    "classification": {},
    "labeling": {
        "accuracy": "token accuracy",
        "f1": "entity F1",
        "precision": "entity precision",
        "recall": "entity recall",
    },
    "multilabel": {
        "accuracy": "subset accuracy",
        "f1": "micro F1",
        "precision": "micro precision",
        "recall": "micro recall",
    },
}
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """What one run scored.

    metrics: name, such as ``test/accuracy``, to value.
    classes: one row a label, or entity type for labeling: label, precision, recall, f1, support.
    confusion: counts; rows are gold labels (index ``gold``), columns predicted ones; of tokens for labeling. For
        multilabel a row is a label (index ``label``), and columns are its true and false positives and negatives.
    """

    metrics: dict[str, float]
    classes: pd.DataFrame
    confusion: pd.DataFrame


def metric_title(name: str, task: str) -> str:
    """What people call a metric, with or without its split: ``test/f1`` is entity F1 or micro F1."""
    key = name.rpartition("/")[2]
    titles = {"macro_f1": "macro F1", "calibration_error": "calibration error"} | TITLES[task]
    return titles.get(key, key)


def calibration_error(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equally wide bins.

    confidences: (N,) probability of each prediction. correct: (N,) whether it was right.
    Guo et al. 2017, equation 3, with 15 bins ((m-1)/15, m/15]. Raises ValueError for no probability.
    """
    confidence, hits = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    tolerance = 1e-4  # float32 softmax and CRF marginals overshoot 1 by rounding
    outside = ~((confidence >= 0) & (confidence <= 1 + tolerance))
    if outside.any():
        raise ValueError(f"confidence {confidence[outside][0]} is no probability: accepted is 0 to 1")
    inner_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, inner_edges, right=True)
    # |B_m| / N * |acc(B_m) - conf(B_m)| = |sum of (hit - confidence) over B_m| / N
    gaps = np.bincount(bins, weights=hits - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def precision_recall_f1(correct: int, found: int, gold: int) -> tuple[float, float, float]:
    """0 where a denominator is 0, as ``conlleval`` prints."""
    return (
        correct / found if found else 0.0,
        correct / gold if gold else 0.0,
        2 * correct / (found + gold) if found + gold else 0.0,
    )


def confusion_table(counts: NDArray[np.int64], label_names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(counts, index=pd.Index(list(label_names), name="gold"), columns=list(label_names))

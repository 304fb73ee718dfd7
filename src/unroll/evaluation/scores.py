"""Scores of one model's predictions on the test split. All but the loss are fractions in 0..1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.statistics.metrics import precision_recall_f1

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


@dataclass(frozen=True)
class Scores:
    """The scores of one run.

    Args:
        metrics: values by name, such as ``test/accuracy``.
        classes: one row per label, or per entity type for labeling: label, precision, recall, f1, support.
        confusion: counts of texts, or of tokens for labeling; rows are gold labels (index ``gold``), columns predicted
            ones. For multilabel a row is a label (index ``label``), and the columns are its true and false positives
            and negatives.
    """

    metrics: dict[str, float]
    classes: pd.DataFrame
    confusion: pd.DataFrame


class ScoredPredictions(NamedTuple):
    """Scores, and for each of N sequences its gold and predicted label names and the probabilities to store."""

    scores: Scores
    gold: list[Any]  # a name, or a list of names
    predicted: list[Any]
    probabilities: list[np.ndarray]


def metric_title(name: str, task: str) -> str:
    """Display name of a metric, given with or without its split: ``test/f1`` is entity F1 or micro F1."""
    key = name.rpartition("/")[2]
    titles = {"macro_f1": "macro F1", "calibration_error": "calibration error"} | TITLES[task]
    return titles.get(key, key)


def scores_by_class(
    names: Sequence[str], right: Sequence[int] | NDArray, found: Sequence[int] | NDArray, gold: Sequence[int] | NDArray
) -> pd.DataFrame:
    """The `classes` of Scores from how often each of L labels is right, predicted and gold; (L,) each."""
    counts = zip(names, right, found, gold, strict=True)
    rows = [
        (name, *precision_recall_f1(int(hits), int(given), int(true)), int(true)) for name, hits, given, true in counts
    ]
    return pd.DataFrame(rows, columns=["label", "precision", "recall", "f1", "support"])


def macro_f1(classes: pd.DataFrame, found: Sequence[int] | NDArray) -> float:
    """Mean F1 of the labels that occur as gold or as predicted; 0 if none does. found: (L,) how often predicted."""
    occurs = (classes["support"] > 0) | (np.asarray(found) > 0)
    return float(classes["f1"][occurs].to_numpy().mean()) if occurs.any() else 0.0


def confusion_counts(gold: NDArray[np.integer], predicted: NDArray[np.integer], names: Sequence[str]) -> pd.DataFrame:
    """The `confusion` of Scores from N gold and predicted indices into the L `names`."""
    size = len(names)
    counts = np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)
    return pd.DataFrame(counts, index=pd.Index(list(names), name="gold"), columns=list(names))

"""Scores of one model's predictions on the test split. All but the loss are fractions in 0..1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from unroll.statistics.metrics import precision_recall_f1

MAIN_METRIC = {"classification": "accuracy", "labeling": "f1", "multilabel": "f1", "tagging": "accuracy"}
# what accuracy counts, and what precision, recall and F1 do
COUNTED = {"labeling": ("token", "entity"), "multilabel": ("subset", "micro"), "tagging": ("token", "macro")}


class Scores(NamedTuple):
    """The scores of one run.

    `classes` has one row per label, or per entity type for labeling: label, precision, recall, f1, support.
    `confusion` counts texts, or tokens for labeling and tagging; rows are gold labels (index ``gold``), columns
    predicted ones. For multilabel a row is a label (index ``label``), and the columns are its true and false positives
    and negatives.
    """

    metrics: dict[str, float]  # by name, such as test/accuracy
    classes: pd.DataFrame
    confusion: pd.DataFrame


def label_kind(task: str) -> str:
    """What a row of `Scores.classes` is about: an entity type, a tag or a label."""
    return {"labeling": "entity type", "tagging": "tag"}.get(task, "label")


def metric_title(name: str, task: str) -> str:
    """Display name of a metric, given with or without its split: ``test/f1`` is entity F1, micro F1 or macro F1."""
    key = name.rpartition("/")[2]
    titles = {"macro_f1": "macro F1", "calibration_error": "calibration error"}
    if task in COUNTED:
        of_accuracy, of_f1 = COUNTED[task]
        titles |= {name: f"{of_f1} {name}" for name in ("precision", "recall")}
        titles |= {"accuracy": f"{of_accuracy} accuracy", "f1": f"{of_f1} F1"}
    return titles.get(key, key)


def micro_scores(right: ArrayLike, found: ArrayLike, gold: ArrayLike) -> dict[str, float]:
    """Precision, recall and F1 of how often all labels together are right, predicted and gold; (L,) each."""
    scores = precision_recall_f1(*(np.sum(counts) for counts in (right, found, gold)))
    return dict(zip(("test/precision", "test/recall", "test/f1"), map(float, scores), strict=True))


def scores_by_class(names: Sequence[str], right: ArrayLike, found: ArrayLike, gold: ArrayLike) -> pd.DataFrame:
    """The `classes` of Scores from how often each of L labels is right, predicted and gold; (L,) each."""
    precision, recall, f1 = precision_recall_f1(right, found, gold)
    return pd.DataFrame({"label": list(names), "precision": precision, "recall": recall, "f1": f1, "support": gold})


def macro_f1(classes: pd.DataFrame, found: NDArray[np.integer]) -> float:
    """Mean F1 of the labels that occur as gold or as predicted; 0 if none does. found: (L,) how often predicted."""
    occurs = (classes["support"] > 0) | (found > 0)
    return float(classes["f1"][occurs].to_numpy().mean()) if occurs.any() else 0.0


def confusion_counts(gold: NDArray[np.integer], predicted: NDArray[np.integer], names: Sequence[str]) -> pd.DataFrame:
    """The `confusion` of Scores from N gold and predicted indices into the L `names`."""
    size = len(names)
    counts = np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)
    return pd.DataFrame(counts, index=pd.Index(list(names), name="gold"), columns=list(names))

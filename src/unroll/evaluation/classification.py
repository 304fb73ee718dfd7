"""Scores of classification: one label a text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from unroll.evaluation.scores import Scores, calibration_error, confusion_table


def classification_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score one predicted distribution per text.

    labels: (N,) indices into ``label_names``. probabilities: (N, L), one column a label name.
    Macro F1 is the mean over the labels that occur as gold or as predicted.

    Raises ValueError for no rows, for other shapes, for a label outside 0..L-1, for no probabilities.
    """
    gold, distributions = np.asarray(labels), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if distributions.shape != (len(gold), len(label_names)):
        raise ValueError(
            f"probabilities of shape {distributions.shape}: accepted is one row for each of "
            f"{len(gold)} labels, one column for each of {len(label_names)} label names"
        )
    if gold.min() < 0 or gold.max() >= len(label_names):
        raise ValueError(
            f"test labels run from {gold.min()} to {gold.max()}: accepted are 0 to {len(label_names) - 1}, "
            f"the indices of {list(label_names)}"
        )

    predicted = distributions.argmax(axis=1)
    indices = np.arange(len(label_names))
    precision, recall, f1, support = precision_recall_fscore_support(gold, predicted, labels=indices, zero_division=0)
    return Scores(
        metrics={
            "test/accuracy": float(accuracy_score(gold, predicted)),
            "test/macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
            "test/calibration_error": calibration_error(distributions.max(axis=1), predicted == gold),
        },
        classes=pd.DataFrame(
            {
                "label": list(label_names),
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "support": support,
            }
        ),
        confusion=confusion_table(confusion_matrix(gold, predicted, labels=indices), label_names),
    )

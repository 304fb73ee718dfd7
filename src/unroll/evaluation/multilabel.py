"""Scores of multilabel classification: any number of labels a text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from unroll.evaluation.scores import Scores, calibration_error, precision_recall_f1


def multilabel_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score each label's probability for each text; a label is predicted where it is above 0.5.

    labels: bool (N, L), one column a label name. probabilities: (N, L).
    Accuracy is the share of texts whose labels are all right. Precision, recall and F1 count the labels of all texts
    together (micro); macro F1 is the mean over the labels that occur as gold or as predicted. The calibration error
    is of the N x L decisions, each as sure as its outcome is probable.

    Raises ValueError for no rows, for other shapes, for no probabilities.
    """
    gold, likely = np.asarray(labels, dtype=bool), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if not gold.shape == likely.shape == (len(gold), len(label_names)):
        raise ValueError(
            f"labels of shape {gold.shape} and probabilities of shape {likely.shape}: accepted is one row a text in "
            f"both, one column for each of {len(label_names)} label names"
        )

    predicted = likely > 0.5
    right = predicted == gold
    hits, found, support = (part.sum(axis=0) for part in (predicted & gold, predicted, gold))  # (L,)
    by_label = [precision_recall_f1(*counts) for counts in zip(hits, found, support, strict=True)]
    occurring = [f1 for (_, _, f1), count in zip(by_label, found + support, strict=True) if count]
    precision, recall, f1 = precision_recall_f1(int(hits.sum()), int(found.sum()), int(support.sum()))
    return Scores(
        metrics={
            "test/accuracy": float(right.all(axis=1).mean()),
            "test/precision": precision,
            "test/recall": recall,
            "test/f1": f1,
            "test/macro_f1": float(np.mean(occurring)) if occurring else 0.0,
            "test/calibration_error": calibration_error(np.maximum(likely, 1 - likely).ravel(), right.ravel()),
        },
        classes=pd.DataFrame(
            [(name, *scores, count) for name, scores, count in zip(label_names, by_label, support, strict=True)],
            columns=["label", "precision", "recall", "f1", "support"],
        ),
        confusion=pd.DataFrame(
            {
                "true positives": hits,
                "false positives": found - hits,
                "false negatives": support - hits,
                "true negatives": len(gold) - found - support + hits,
            },
            index=pd.Index(list(label_names), name="label"),
        ),
    )

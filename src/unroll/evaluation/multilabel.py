"""Scores of multilabel classification: any number of labels per text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from unroll.evaluation.scores import Scores, macro_f1, micro_scores, scores_by_class
from unroll.statistics.metrics import calibration_error


def multilabel_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score the (N, L) probabilities of L labels against (N, L) booleans; a label is predicted where it is above 0.5.

    Accuracy is the share of texts whose labels are all right. Precision, recall and F1 count the labels of all texts
    together (micro); macro F1 is the mean over the labels that occur as gold or as predicted. The calibration error
    is that of the N x L binary decisions, each with the probability of its outcome. Unusable input is a ValueError.
    """
    gold, likely = np.asarray(labels, dtype=bool), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if not gold.shape == likely.shape == (len(gold), len(label_names)):
        raise ValueError(
            f"labels have shape {gold.shape} and probabilities {likely.shape}; accepted: one row per text in both, one "
            f"column for each of {len(label_names)} label names"
        )

    predicted = likely > 0.5
    right = predicted == gold
    hits, found, support = (part.sum(axis=0) for part in (predicted & gold, predicted, gold))  # (L,)
    classes = scores_by_class(label_names, hits, found, support)
    metrics = {
        "test/accuracy": float(right.all(axis=1).mean()),
        **micro_scores(hits, found, support),
        "test/macro_f1": macro_f1(classes, found),
        "test/calibration_error": calibration_error(np.maximum(likely, 1 - likely).ravel(), right.ravel()),
    }
    counts = {
        "true positives": hits,
        "false positives": found - hits,
        "false negatives": support - hits,
        "true negatives": len(gold) - found - support + hits,
    }
    return Scores(metrics, classes, pd.DataFrame(counts, index=pd.Index(list(label_names), name="label")))

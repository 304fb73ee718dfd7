"""Scores of classification: one label per text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from unroll.evaluation.scores import Scores, confusion_counts, macro_f1, scores_by_class
from unroll.statistics.metrics import calibration_error


def classification_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score (N, L) probabilities of each text's labels against (N,) indices into the L `label_names`.

    Macro F1 is the mean over the labels that occur as gold or as predicted. Unusable input is a ValueError.
    """
    gold, distributions = np.asarray(labels), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if distributions.shape != (len(gold), len(label_names)):
        raise ValueError(
            f"probabilities have shape {distributions.shape}; accepted: one row for each of {len(gold)} labels, one "
            f"column for each of {len(label_names)} label names"
        )
    if gold.min() < 0 or gold.max() >= len(label_names):
        raise ValueError(
            f"test labels are in {gold.min()} to {gold.max()}; accepted: 0 to {len(label_names) - 1}, the indices of "
            f"{list(label_names)}"
        )

    predicted = distributions.argmax(axis=1)
    confusion = confusion_counts(gold, predicted, label_names)
    counts = confusion.to_numpy()
    found = counts.sum(axis=0)
    classes = scores_by_class(label_names, np.diag(counts), found, counts.sum(axis=1))
    metrics = {
        "test/accuracy": float(np.mean(predicted == gold)),
        "test/macro_f1": macro_f1(classes, found),
        "test/calibration_error": calibration_error(distributions.max(axis=1), predicted == gold),
    }
    return Scores(metrics, classes, confusion)

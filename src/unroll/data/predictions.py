"""Predictions of a model, and their loss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unroll.data.prepared import EncodedSplit

NO_PROBABILITIES = np.empty((0, 0))


class Prediction(NamedTuple):
    """The predicted labels of one sequence and the probabilities of all L labels, float64.

    Probabilities that were left out are `NO_PROBABILITIES`.

    Shapes: `labels` () and `probabilities` (L,) for classification; (L,) bool and (L,) for multilabel; (T,) and
    (T, L) for labeling and tagging.
    """

    labels: np.ndarray
    probabilities: np.ndarray


def mean_loss(split: EncodedSplit, predictions: Sequence[Prediction]) -> float:
    """The mean negative log-likelihood of the labels; for multilabel, of the presence or absence of each label."""
    rows = np.concatenate([np.atleast_2d(prediction.probabilities) for prediction in predictions])  # (N or M, L)
    if split.task == "multilabel":
        likelihoods = np.where(split.labels, rows, 1 - rows)  # (N, L)
    else:
        likelihoods = rows[np.arange(len(rows)), split.labels]  # (N or M,)
    return float(-np.log(np.maximum(likelihoods, np.finfo(np.float64).tiny)).mean())

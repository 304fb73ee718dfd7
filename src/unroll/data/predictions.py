"""Predictions of a model, and their loss."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import Posterior

NO_PROBABILITIES = np.empty((0, 0))


class Prediction(NamedTuple):
    """The predicted labels of one sequence and the probabilities of all L labels, float64.

    Probabilities that were left out are `NO_PROBABILITIES`. `following` (T, L) and `transitions` (L, L) are those of
    `Posterior`.

    Shapes: `labels` () and `probabilities` (L,) for classification; (L,) bool and (L,) for multilabel; (T,) and
    (T, L) for labeling and tagging.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    following: np.ndarray | None = None
    transitions: np.ndarray | None = None

    @classmethod
    def of(cls, part: Any, labels: np.ndarray, posterior: Posterior[np.ndarray] | None) -> "Prediction":
        """The prediction for a part of a batch: the index of a sequence, and for labels of tokens a slice of steps."""
        if posterior is None:
            return cls(labels[part], NO_PROBABILITIES)
        following = None if posterior.following is None else posterior.following[part]
        return cls(labels[part], posterior.probabilities[part], following, posterior.transitions)


def mean_loss(split: EncodedSplit, predictions: Sequence[Prediction]) -> float:
    """The mean negative log-likelihood of the labels; for multilabel, of the presence or absence of each label."""
    rows = np.concatenate([np.atleast_2d(prediction.probabilities) for prediction in predictions])  # (N or M, L)
    if split.task == "multilabel":
        likelihoods = np.where(split.labels, rows, 1 - rows)  # (N, L)
    else:
        likelihoods = rows[np.arange(len(rows)), split.labels]  # (N or M,)
    return float(-np.log(np.maximum(likelihoods, np.finfo(np.float64).tiny)).mean())

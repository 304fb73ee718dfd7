"""What a model answers for an encoded sequence, and how well that fits the labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unroll.data.prepared import EncodedSplit


class Prediction(NamedTuple):
    """One sequence's best labels and each label's probability, float64.

    `labels` () and `probabilities` (L,) for classification; bool (L,) and (L,) for multilabel; (T,) and (T, L) for
    labeling.
    """

    labels: np.ndarray
    probabilities: np.ndarray


def mean_loss(split: EncodedSplit, answers: Sequence[Prediction]) -> float:
    """The mean negative log-likelihood of a label, or of a label's presence or absence, by its own probability."""
    rows = np.concatenate([np.atleast_2d(found.probabilities) for found in answers])  # (N or M, L)
    if split.task == "multilabel":
        likelihoods = np.where(split.labels, rows, 1 - rows)  # (N, L)
    else:
        likelihoods = rows[np.arange(len(rows)), split.labels]  # (N or M,)
    return float(-np.log(np.maximum(likelihoods, np.finfo(np.float64).tiny)).mean())

"""A bag of n-grams: TF-IDF and logistic regression."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import sparse
from scipy.special import expit, logit, softmax

from unroll.baselines.base import Baseline, check_array
from unroll.baselines.ngrams import NgramCounter
from unroll.checks import check_least
from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import Task
from unroll.files import whole_file

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FILE = "weights.safetensors"


class _Weights(NamedTuple):
    """Fitted parameters: codes and IDF of K n-grams (K,), and for L labels `weights` (L, K) and `bias` (L,)."""

    ngrams: np.ndarray
    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


class TfIdf(Baseline):
    """Logistic regression on TF-IDF weights of word n-grams, both as in scikit-learn.

    The weight of an n-gram in a text is its count times log((1 + N) / (1 + n)) + 1, where n of the N training texts
    contain it; the weights of a text are scaled to Euclidean norm 1. Classification uses one multinomial regression.
    Multilabel uses one regression per label (one-vs-rest); a label that is constant in the training split gets its
    frequency there as its probability.

    Args:
        ngram_range: minimum and maximum number of words in an n-gram.
        min_count: minimum number of training texts that contain an n-gram.
        C: inverse strength of the L2 regularisation; from a list, the value with the lowest validation loss is used.
        max_iterations: of L-BFGS.
    """

    tasks = ("classification", "multilabel")

    def __init__(
        self,
        task: Task,
        label_names: list[str],
        vocabulary_size: int,
        ngram_range: list[int],
        min_count: int,
        C: float | list[float],
        max_iterations: int,
    ) -> None:
        super().__init__(task, label_names)
        self._counter = NgramCounter(vocabulary_size, ngram_range)
        self._min_count = min_count
        self._strengths = C if isinstance(C, list) else [C]
        self._max_iterations = max_iterations
        self._weights: _Weights
        check_least(1, min_count=min_count, max_iterations=max_iterations)
        if not self._strengths or min(self._strengths) <= 0:
            raise ValueError(f"C={C}; accepted: a number above 0, or a list of such numbers")

    @property
    def num_parameters(self) -> int:
        return self._weights.idf.size + self._weights.weights.size + self._weights.bias.size

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        from sklearn.linear_model import LogisticRegression

        ngrams = self._counter.distinct(train, self._min_count)
        if not len(ngrams):
            raise ValueError(
                f"model.min_count={self._min_count}; accepted: a smaller number, since no n-gram is in that many texts"
            )
        counts = self._counter.count(train, ngrams)
        texts = np.bincount(counts.indices, minlength=len(ngrams))  # (K,), number of texts with each n-gram
        idf = np.log((1 + len(train)) / (1 + texts)) + 1
        features, held_out = _weigh(counts, idf), _weigh(self._counter.count(validation, ngrams), idf)
        candidates = []
        for strength in self._strengths:
            regression = LogisticRegression(C=strength, max_iter=self._max_iterations)
            weights = _Weights(ngrams, idf, *self._fit(regression, features, np.asarray(train.labels)))
            candidates.append((mean_loss(validation, self._predict(held_out, weights)), weights))
        _, self._weights = min(candidates, key=lambda candidate: candidate[0])

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        counts = self._counter.count(split, self._weights.ngrams)
        return self._predict(_weigh(counts, self._weights.idf), self._weights)

    def save(self, folder: Path) -> None:
        with whole_file(folder / FILE) as temporary:
            save_file(self._weights._asdict(), temporary)

    def load(self, folder: Path) -> None:
        self._weights = _Weights(**load_file(folder / FILE))
        labels, ngrams = len(self.label_names), len(self._weights.ngrams)
        for name, shape in zip(_Weights._fields, ((ngrams,), (ngrams,), (labels, ngrams), (labels,)), strict=True):
            check_array(name, getattr(self._weights, name), *shape)
        if self._weights.ngrams.dtype.kind != "i" or (np.diff(self._weights.ngrams) <= 0).any():
            raise ValueError("ngrams are not increasing whole numbers")

    def _fit(
        self, regression: "LogisticRegression", features: sparse.csr_array, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """features: (N, K) → weights (L, K), bias (L,); -inf for a class without training texts."""
        weights = np.zeros((len(self.label_names), features.shape[1]))
        if self.task == "multilabel":
            bias = logit((labels.sum(axis=0) + 0.5) / (len(labels) + 1))
            for label in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
                regression.fit(features, labels[:, label])
                weights[label], bias[label] = regression.coef_[0], regression.intercept_[0]
            return weights, bias
        bias, present = np.full(len(weights), -np.inf), np.unique(labels)
        if len(present) == 1:  # scikit-learn refuses a single class
            bias[present] = 0
            return weights, bias
        regression.fit(features, labels)
        classes, coefficients, intercept = regression.classes_, regression.coef_, regression.intercept_
        if len(classes) == 2:  # scikit-learn then fits the difference of the two scores only
            coefficients, intercept = np.vstack([-coefficients, coefficients]) / 2, np.append(-intercept, intercept) / 2
        weights[classes], bias[classes] = coefficients, intercept
        return weights, bias

    def _predict(self, features: sparse.csr_array, weights: _Weights) -> list[Prediction]:
        scores = features @ weights.weights.T + weights.bias  # (N, L)
        if self.task == "classification":
            return [Prediction(probabilities.argmax(), probabilities) for probabilities in softmax(scores, axis=1)]
        return [Prediction(probabilities > 0.5, probabilities) for probabilities in expit(scores)]


def _weigh(counts: sparse.csr_array, idf: np.ndarray) -> sparse.csr_array:
    """counts: (N, K), idf: (K,) → normalised TF-IDF weights (N, K); zero for a text without a known n-gram."""
    weights = counts * idf
    norms = sparse.linalg.norm(weights, axis=1)  # (N,)
    return (weights / np.where(norms > 0, norms, 1)[:, None]).tocsr()

"""A bag of n-grams: TF-IDF and logistic regression."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import sparse
from scipy.special import expit, logit, softmax

from unroll.baselines.base import Baseline
from unroll.baselines.ngrams import NgramCounter
from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import Task

FILE = "weights.safetensors"


class TfIdf(Baseline):
    """Logistic regression on n-grams of words, weighted by TF-IDF, as scikit-learn computes both.

    A text's weight of an n-gram is its count times log((1 + N) / (1 + n)) + 1, where n of the N training texts have
    it, and the weights of a text have the Euclidean norm 1. Classification is one regression over all labels;
    multilabel has one for each label (one-vs-rest), and a label that is the same in all training texts keeps its
    frequency.

    Args:
        ngram_range: the fewest and the most words of an n-gram.
        min_count: training texts that an n-gram stands in, at least.
        C: the inverse of the strength of the L2 regularisation; of a list, that with the least loss on validation.
        max_iterations: of L-BFGS.

    Raises:
        ValueError: a value is out of range, or train has no such n-gram or a single label.
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
        for name, value in {"min_count": min_count, "max_iterations": max_iterations}.items():
            if value < 1:
                raise ValueError(f"{name}={value}; accepted: 1 or more")
        if not self._strengths or min(self._strengths) <= 0:
            raise ValueError(f"C={C}; accepted: a number above 0, or a list of such")
        self._fitted: _Fitted

    @property
    def num_parameters(self) -> int:
        return self._fitted.idf.size + self._fitted.weights.size + self._fitted.bias.size

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        ngrams = self._counter.distinct(train, self._min_count)
        if not len(ngrams):
            raise ValueError(f"model.min_count={self._min_count}: no n-gram stands in as many texts of train")
        counts = self._counter.count(train, ngrams)
        texts = np.bincount(counts.indices, minlength=len(ngrams))  # (K,) that have each n-gram
        idf = np.log((1 + len(train)) / (1 + texts)) + 1
        features, held_out = _weigh(counts, idf), _weigh(self._counter.count(validation, ngrams), idf)
        regress = self._regress_each if self.task == "multilabel" else self._regress
        losses = []
        for strength in self._strengths:
            fitted = _Fitted(ngrams, idf, *regress(features, np.asarray(train.labels), strength))
            losses.append((mean_loss(validation, self._judge(held_out, fitted)), fitted))
        _, self._fitted = min(losses, key=lambda tried: tried[0])

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        counts = self._counter.count(split, self._fitted.ngrams)
        return self._judge(_weigh(counts, self._fitted.idf), self._fitted)

    def save(self, folder: Path) -> None:
        save_file(self._fitted._asdict(), folder / FILE)

    def load(self, folder: Path) -> None:
        self._fitted = _Fitted(**load_file(folder / FILE))

    def _regress(
        self, features: sparse.csr_array, labels: np.ndarray, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """features: (N, K), labels: (N,) → weights (L, K), bias (L,)."""
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(C=strength, max_iter=self._max_iterations).fit(features, labels)
        size = len(self.label_names)
        weights, bias = np.zeros((size, features.shape[1])), np.full(size, -np.inf)  # a label not met is never given
        if len(found.classes_) == 2:  # scikit-learn has one regression of two labels: half of it is each one's
            weights[found.classes_] = np.vstack([-found.coef_, found.coef_]) / 2
            bias[found.classes_] = np.append(-found.intercept_, found.intercept_) / 2
        else:
            weights[found.classes_], bias[found.classes_] = found.coef_, found.intercept_
        return weights, bias

    def _regress_each(
        self, features: sparse.csr_array, labels: np.ndarray, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """features: (N, K), labels: bool (N, L) → weights (L, K), bias (L,)."""
        from sklearn.linear_model import LogisticRegression

        regression = LogisticRegression(C=strength, max_iter=self._max_iterations)
        weights = np.zeros((labels.shape[1], features.shape[1]))
        bias = logit((labels.sum(axis=0) + 0.5) / (len(labels) + 1))
        for label in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
            found = regression.fit(features, labels[:, label])
            weights[label], bias[label] = found.coef_[0], found.intercept_[0]
        return weights, bias

    def _judge(self, features: sparse.csr_array, fitted: "_Fitted") -> list[Prediction]:
        scores = features @ fitted.weights.T + fitted.bias  # (N, L)
        if self.task == "multilabel":
            return [Prediction(likely > 0.5, likely) for likely in expit(scores)]
        return [Prediction(likely.argmax(), likely) for likely in softmax(scores, axis=1)]


class _Fitted(NamedTuple):
    """`ngrams`, `idf` (K,), of L labels the regressions' `weights` (L, K) and `bias` (L,)."""

    ngrams: np.ndarray
    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


def _weigh(counts: sparse.csr_array, idf: np.ndarray) -> sparse.csr_array:
    """TF-IDF, (N, K); a text without a known n-gram has no weights."""
    weights = counts * idf
    norms = sparse.linalg.norm(weights, axis=1)  # (N,)
    return (weights / np.where(norms > 0, norms, 1)[:, None]).tocsr()

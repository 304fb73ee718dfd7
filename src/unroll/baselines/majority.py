"""The most frequent label, independent of the text or, for labeling, of the context."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from unroll.baselines.base import Baseline
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tags import TagReader
from unroll.data.tokens import Task

FILE = "counts.safetensors"


class Majority(Baseline):
    """Predicts labels by their frequency in the training split.

    - classification: the most frequent label.
    - multilabel: the labels of more than half of the texts, possibly none.
    - labeling: the most frequent tag of each word, and for a word that is missing from the training split the most
      frequent tag of all words. An I- tag that does not continue an entity is replaced by B-.

    The probabilities are smoothed frequencies: one example is added, spread evenly over the labels or, for a word, like
    the tags of all words. Hence no probability is zero, and the most frequent label stays the same.
    """

    tasks = ("classification", "multilabel", "labeling")

    def __init__(self, task: Task, label_names: list[str], vocabulary_size: int) -> None:
        super().__init__(task, label_names)
        self._vocabulary_size = vocabulary_size
        self._counts = np.zeros((0, len(label_names)), np.int64)

    @property
    def num_parameters(self) -> int:
        return self._counts.size

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        self._counts = _TASKS[self.task].fit(train, len(self.label_names), self._vocabulary_size)

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        return _TASKS[self.task].predict(split, self._counts, self.label_names)

    def save(self, folder: Path) -> None:
        save_file({"counts": np.ascontiguousarray(self._counts)}, folder / FILE)

    def load(self, folder: Path) -> None:
        self._counts = load_file(folder / FILE)["counts"]


def _count_labels(train: EncodedSplit, num_labels: int, vocabulary_size: int) -> np.ndarray:
    """Number of texts with each label, (1, L)."""
    return np.bincount(train.labels, minlength=num_labels)[None]


def _predict_label(split: EncodedSplit, counts: np.ndarray, label_names: list[str]) -> list[Prediction]:
    (probabilities,) = _frequencies(counts)
    return [Prediction(probabilities.argmax(), probabilities)] * len(split)


def _count_presence(train: EncodedSplit, num_labels: int, vocabulary_size: int) -> np.ndarray:
    """Number of texts without and with each label, (2, L)."""
    present = train.labels.sum(axis=0)
    return np.stack([len(train) - present, present])


def _predict_presence(split: EncodedSplit, counts: np.ndarray, label_names: list[str]) -> list[Prediction]:
    probabilities = _frequencies(counts.T)[:, 1]  # (L,)
    return [Prediction(probabilities > 0.5, probabilities)] * len(split)


def _count_tags(train: EncodedSplit, num_labels: int, vocabulary_size: int) -> np.ndarray:
    """Number of occurrences of each word with each tag, (V, L)."""
    pairs = train.table.words[train.tokens] * num_labels + train.labels  # (M,)
    return np.bincount(pairs, minlength=vocabulary_size * num_labels).reshape(-1, num_labels)


def _predict_tags(split: EncodedSplit, counts: np.ndarray, label_names: list[str]) -> list[Prediction]:
    of_all_words = _frequencies(counts.sum(axis=0))  # (L,)
    of_tokens = _frequencies(counts[split.table.words[split.tokens]], of_all_words)  # (M, L)
    reader = TagReader(label_names, "iob1")
    ids = {name: i for i, name in enumerate(label_names)}
    predictions = []
    for probabilities in np.split(of_tokens, split.offsets[1:-1]):
        tags = reader.read([label_names[i] for i in probabilities.argmax(axis=1)])
        predictions.append(Prediction(np.array([ids[tag] for tag in tags]), probabilities))
    return predictions


class _Method(NamedTuple):
    """Functions of a task: (train, L, V) → counts, and (split, counts, label names) → predictions."""

    fit: Callable[[EncodedSplit, int, int], np.ndarray]
    predict: Callable[[EncodedSplit, np.ndarray, list[str]], list[Prediction]]


_TASKS: dict[Task, _Method] = {
    "classification": _Method(_count_labels, _predict_label),
    "multilabel": _Method(_count_presence, _predict_presence),
    "labeling": _Method(_count_tags, _predict_tags),
}


def _frequencies(counts: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """counts: (..., L) → frequencies (..., L) with one example more, spread evenly or like `prior` (L,)."""
    added = 1 / counts.shape[-1] if prior is None else prior
    return (counts + added) / (counts.sum(axis=-1, keepdims=True) + 1)

"""The most frequent label, independent of the text or, for tokens, of the context."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from unroll.baselines.base import Baseline, check_array
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tags import valid_iob2
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.files import whole_file

FILE = "counts.safetensors"


class Majority(Baseline):
    """Predicts labels by their frequency in the training split.

    - classification: the most frequent label.
    - multilabel: the labels of more than half of the texts, possibly none.
    - labeling, tagging: the most frequent tag of each word, and for a word that is missing from the training split the
      most frequent tag of all words. In labeling an I- tag that does not continue an entity is replaced by B-.

    The probabilities are smoothed frequencies: one example is added, spread evenly over the labels or, for a word, like
    the tags of all words. Hence no probability is zero, and the most frequent label stays the same.
    """

    tasks = ("classification", "multilabel", *TOKEN_TASKS)

    def __init__(self, task: Task, label_names: list[str], vocabulary_size: int) -> None:
        super().__init__(task, label_names)
        self._vocabulary_size = vocabulary_size
        self._counts = np.zeros((0, len(label_names)), np.int64)

    @property
    def num_parameters(self) -> int:
        return self._counts.size

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        L = len(self.label_names)
        if self.task == "classification":
            self._counts = np.bincount(train.labels, minlength=L)[None]  # (1, L)
        elif self.task == "multilabel":
            present = train.labels.sum(axis=0)
            self._counts = np.stack([len(train) - present, present])  # (2, L) texts without and with each label
        else:
            pairs = train.table.words[train.tokens] * L + train.labels  # (M,)
            self._counts = np.bincount(pairs, minlength=self._vocabulary_size * L).reshape(-1, L)  # (V, L)

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        if self.task == "classification":
            (probabilities,) = _frequencies(self._counts)  # (L,)
            return [Prediction(probabilities.argmax(), probabilities)] * len(split)
        if self.task == "multilabel":
            probabilities = _frequencies(self._counts.T)[:, 1]  # (L,)
            return [Prediction(probabilities > 0.5, probabilities)] * len(split)
        of_all_words = _frequencies(self._counts.sum(axis=0))  # (L,)
        of_tokens = _frequencies(self._counts[split.table.words[split.tokens]], of_all_words)  # (M, L)
        ids = {name: i for i, name in enumerate(self.label_names)}
        predictions = []
        for probabilities in np.split(of_tokens, split.offsets[1:-1]):
            labels = probabilities.argmax(axis=1)
            if self.task == "labeling":
                labels = np.array([ids[tag] for tag in valid_iob2([self.label_names[i] for i in labels])])
            predictions.append(Prediction(labels, probabilities))
        return predictions

    def save(self, folder: Path) -> None:
        with whole_file(folder / FILE) as temporary:
            save_file({"counts": np.ascontiguousarray(self._counts)}, temporary)

    def load(self, folder: Path) -> None:
        self._counts = load_file(folder / FILE)["counts"]
        rows = {"classification": 1, "multilabel": 2}.get(self.task, self._vocabulary_size)
        check_array("counts", self._counts, rows, len(self.label_names))
        if (self._counts < 0).any():
            raise ValueError("counts has negative numbers")


def _frequencies(counts: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """counts: (..., L) → frequencies (..., L) with one example more, spread evenly or like `prior` (L,)."""
    added = 1 / counts.shape[-1] if prior is None else prior
    return (counts + added) / (counts.sum(axis=-1, keepdims=True) + 1)

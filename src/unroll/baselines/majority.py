"""The most frequent label, whatever the text; for labeling, of each word by itself."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from unroll.baselines.base import Baseline
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tags import TagReader
from unroll.data.tokens import Task

FILE = "counts.safetensors"


class Majority(Baseline):
    """Labels by their frequency in train.

    - classification: the most frequent label.
    - multilabel: the labels of more than half of the texts, which may be none.
    - labeling: each word's most frequent tag, and of a word that train lacks, the most frequent tag of all. An inside
      tag that goes on with nothing opens an entity.

    Probabilities are the frequencies, as if one more example had been seen: of all labels alike, and of a word, as
    frequent as the tags of all words are. So nothing is impossible, and no majority changes.
    """

    tasks = ("classification", "multilabel", "labeling")

    def __init__(self, task: Task, label_names: list[str], vocabulary_size: int) -> None:
        super().__init__(task, label_names)
        self._vocabulary_size = vocabulary_size
        # (1, L) of texts; (2, L) of texts without and with each label; or (V, L) of words.
        self._counts = np.zeros((0, len(label_names)), np.int64)

    @property
    def num_parameters(self) -> int:
        return self._counts.size

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        size = len(self.label_names)
        if self.task == "classification":
            self._counts = np.bincount(train.labels, minlength=size)[None]
        elif self.task == "multilabel":
            given = train.labels.sum(axis=0)
            self._counts = np.stack([len(train) - given, given])
        else:
            pairs = train.table.words[train.tokens] * size + train.labels  # (M,)
            self._counts = np.bincount(pairs, minlength=self._vocabulary_size * size).reshape(-1, size)

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        if self.task == "labeling":
            return self._answer_words(split)
        if self.task == "multilabel":
            likely = _frequencies(self._counts.T, np.full(2, 0.5))[:, 1]  # (L,)
            return [Prediction(likely > 0.5, likely)] * len(split)
        (likely,) = _frequencies(self._counts, self._uniform())
        return [Prediction(likely.argmax(), likely)] * len(split)

    def save(self, folder: Path) -> None:
        save_file({"counts": np.ascontiguousarray(self._counts)}, folder / FILE)

    def load(self, folder: Path) -> None:
        self._counts = load_file(folder / FILE)["counts"]

    def _answer_words(self, split: EncodedSplit) -> list[Prediction]:
        of_all = _frequencies(self._counts.sum(axis=0), self._uniform())  # (L,)
        likely = _frequencies(self._counts[split.table.words[split.tokens]], of_all)  # (M, L)
        reader = TagReader(self.label_names, "iob1")
        ids = {name: i for i, name in enumerate(self.label_names)}
        answers = []
        for probabilities in np.split(likely, split.offsets[1:-1]):
            tags = reader.read([self.label_names[i] for i in probabilities.argmax(axis=1)])
            answers.append(Prediction(np.array([ids[tag] for tag in tags]), probabilities))
        return answers

    def _uniform(self) -> np.ndarray:
        return np.full(len(self.label_names), 1 / len(self.label_names))


def _frequencies(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """counts: (..., L) → shares (..., L), with one more example that is as `expected` (L,) says."""
    return (counts + expected) / (counts.sum(axis=-1, keepdims=True) + 1)

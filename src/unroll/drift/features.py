"""The features that are compared: a number per text, or a distribution of labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.tokens import UNKNOWN, Task
from unroll.drift.labels import BLOCK, LabelSet
from unroll.statistics.stability import count_bins, decile_edges

BATCH_SIZE = 64
# Name and number format of `LabelSet.amounts`.
AMOUNTS: dict[Task, tuple[str, str] | None] = {
    "classification": None,
    "multilabel": ("labels per text", ".2f"),
    "labeling": ("tokens in entities", ".1%"),
}
# The confidence in the prediction for a text, from its probabilities in predictions.parquet.
CONFIDENCES: dict[Task, Callable[[np.ndarray], float]] = {
    "classification": np.max,
    "multilabel": lambda probabilities: np.maximum(probabilities, 1 - probabilities).mean(),
    "labeling": np.mean,
}


@dataclass(frozen=True)
class Numbers:
    """A number per text, `reference` (m,) and `new` (n,), binned by the deciles of the reference.

    `split` is the prepared split of the reference, `form` the format of a number; with `only_more`, only an increase
    counts as drift.
    """

    name: str
    split: str
    reference: np.ndarray
    new: np.ndarray
    form: str
    only_more: bool = False

    @property
    def matters(self) -> bool:
        """Whether the difference has a direction that counts as drift."""
        return not self.only_more or self.new.mean() > self.reference.mean()

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of texts of the reference and of the new text in each bin."""
        edges = decile_edges(self.reference)
        return count_bins(self.reference, edges), count_bins(self.new, edges)

    def summaries(self) -> tuple[dict[str, float], dict[str, float]]:
        """Mean and outer deciles of the reference and of the new text."""
        return _summary(self.reference), _summary(self.new)

    def describe(self, summary: dict[str, float]) -> str:
        """Format a summary for the table."""
        mean, low, high = (format(summary[key], self.form) for key in ("mean", "10 %", "90 %"))
        return f"{mean} ({low} to {high})"

    def change(self, reference: dict[str, float], new: dict[str, float]) -> str:
        """Describe the difference of two summaries."""
        return f"mean {new['mean']:{self.form}}, compared with {reference['mean']:{self.form}} in {self.split}"


@dataclass(frozen=True)
class Names:
    """The number of texts with each label, as returned by `LabelSet.shares`."""

    name: str
    split: str
    reference: dict[str, float]
    new: dict[str, float]

    SHOWN = 3
    matters = True

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        names = self._names()
        reference, new = (np.array([counts.get(name, 0.0) for name in names]) for counts in (self.reference, self.new))
        return reference, new

    def summaries(self) -> tuple[dict[str, float], dict[str, float]]:
        """The shares of the labels, sorted by descending difference."""
        names, (reference, new) = self._names(), self.bins()
        before, after = reference / reference.sum(), new / new.sum()
        order = np.argsort(-np.abs(after - before), kind="stable")
        return {names[i]: float(before[i]) for i in order}, {names[i]: float(after[i]) for i in order}

    def describe(self, summary: dict[str, float]) -> str:
        shown = ", ".join(f"{name} {share:.1%}" for name, share in list(summary.items())[: self.SHOWN])
        return f"{shown}, …" if len(summary) > self.SHOWN else shown

    def change(self, reference: dict[str, float], new: dict[str, float]) -> str:
        """Describe the label with the largest difference, and labels that are missing from the reference."""
        most = next(iter(new))
        unseen = [name for name, share in new.items() if share and not reference[name]]
        text = f"{most} {new[most]:.1%}, compared with {reference[most]:.1%} in {self.split}"
        return f"{text}; missing there: {', '.join(unseen[: self.SHOWN])}" if unseen else text

    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self.reference, *self.new]))


Feature = Numbers | Names


def text_features(
    train: EncodedSplit, held_out: EncodedSplit, new: EncodedSplit, vocabulary_size: int
) -> list[Numbers]:
    """Length, share of unknown words and mean surprisal of each text.

    The features of words are compared with `held_out`: all words of train are in the vocabulary, and they are more
    frequent there than in other text.
    """
    bits = _surprisal(train, vocabulary_size)
    unknown = (np.arange(vocabulary_size) == UNKNOWN).astype(np.float64)
    return [
        Numbers("length", "train", train.lengths, new.lengths, ",.0f"),
        Numbers("unknown words", "validation", _word_means(held_out, unknown), _word_means(new, unknown), ".1%", True),
        Numbers("surprisal", "validation", _word_means(held_out, bits), _word_means(new, bits), ".2f"),
    ]


def label_features(name: str, split: str, reference: LabelSet, new: LabelSet) -> list[Feature]:
    """The distribution of the labels and, unless each text has exactly one, their amounts."""
    features: list[Feature] = [Names(name, split, reference.shares(), new.shares())]
    if found := AMOUNTS[new.task]:
        amount, form = found
        full_name = amount if name == "labels" else f"{amount}, {name}"
        features.append(Numbers(full_name, split, reference.amounts(), new.amounts(), form))
    return features


def prediction_features(data: PreparedData, run: Path, new: EncodedSplit) -> list[Feature]:
    """The labels that the model in the folder `run` predicts, and its confidence for each text.

    Raises:
        ValueError: `run` contains no trained and evaluated model, or its model does not match `data`.
    """
    from unroll.inference.trained_model import TrainedModel

    if not (run / "model").is_dir():
        raise ValueError(f"run={run}: no trained model there; accepted: a folder models/DATASET/MODEL/SEED")
    if not (run / "predictions.parquet").is_file():
        raise ValueError(f"run={run}: no predictions for the test split there; run first: python pipelines/evaluate.py")
    trained = TrainedModel.load(run / "model")
    if changed := trained.schema.differences(data.schema):
        raise ValueError(f"run={run}: its model and {data.folder} differ in {', '.join(changed)}")

    table = pq.read_table(run / "predictions.parquet", columns=["predicted", "probabilities"])
    before = LabelSet.of_names(data.task, data.label_names, table["predicted"].to_pylist())
    predictions = trained.predict(new, BATCH_SIZE)
    labels = [prediction.labels for prediction in predictions]
    after = Ragged.from_sequences(labels, np.int64) if data.task == "labeling" else np.array(labels)
    confidences = (
        _confidences(data.task, (np.array(row) for row in table["probabilities"].to_pylist())),
        _confidences(data.task, (_probabilities(data.task, prediction) for prediction in predictions)),
    )
    return [
        *label_features("predictions", "test", before, LabelSet(data.task, data.label_names, after)),
        Numbers("confidence", "test", *confidences, ".1%"),
    ]


def _surprisal(train: EncodedSplit, vocabulary_size: int) -> np.ndarray:
    """−log₂ of the relative frequency of each word in train, (V,), with one added to all counts."""
    tokens = np.zeros(len(train.table.words), np.int64)
    for block in train.sequences.blocks(BLOCK):
        tokens += np.bincount(block.values, minlength=len(tokens))
    counts = np.bincount(train.table.words, weights=tokens, minlength=vocabulary_size) + 1
    bits: np.ndarray = -np.log2(counts / counts.sum())
    return bits


def _word_means(split: EncodedSplit, values: np.ndarray) -> np.ndarray:
    """The mean of `values` (V,), given by word, over the tokens of each text, (N,)."""
    by_token = values[split.table.words]
    sums = [Ragged(by_token[block.values], block.offsets).sums() for block in split.sequences.blocks(BLOCK)]
    means: np.ndarray = np.concatenate(sums) / split.lengths
    return means


def _probabilities(task: Task, prediction: Prediction) -> np.ndarray:
    """The probabilities in predictions.parquet: of all labels, or of the predicted tag of each token."""
    if task != "labeling":
        return prediction.probabilities
    return np.take_along_axis(prediction.probabilities, prediction.labels[:, None], axis=1)[:, 0]  # (T,)


def _confidences(task: Task, probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """The confidences (N,), rounded to four decimals: padding affects further ones, and many are close to 1."""
    return np.round([CONFIDENCES[task](found) for found in probabilities], 4)


def _summary(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, [0.1, 0.9])
    return {"mean": float(values.mean()), "10 %": float(low), "90 %": float(high)}

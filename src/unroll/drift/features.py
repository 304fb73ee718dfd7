"""The features that are compared: a number per text, or a distribution of labels."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.tokens import TOKEN_TASKS, UNKNOWN, Task
from unroll.drift.labels import BLOCK, LabelCounts, LabelIds, count_labels, number_labels
from unroll.drift.new_text import NewText, encode
from unroll.run_folder import RunFolder
from unroll.statistics.stability import count_bins, decile_edges

SHOWN = 3  # number of labels in the table
# Name and number format of `LabelCounts.amounts`, unless each text has exactly one label.
AMOUNTS: dict[Task, tuple[str, str]] = {
    "multilabel": ("labels per text", ".2f"),
    "labeling": ("tokens in entities", ".1%"),
}
# The confidence in the prediction for a text, from its probabilities in predictions.parquet.
CONFIDENCES: dict[Task, Callable[[np.ndarray], float]] = {
    "classification": np.max,
    "multilabel": lambda probabilities: np.maximum(probabilities, 1 - probabilities).mean(),
    "labeling": np.mean,
    "tagging": np.mean,
}


class Feature(NamedTuple):
    """A property of the texts of the reference and of the new texts.

    Attributes:
        split: the prepared split of the reference.
        bins: numbers of texts (B,) in each bin.
        summaries: mean and outer deciles of a number, or shares of labels by descending difference.
        shown: the summaries, formatted.
        change: description of the difference.
        matters: whether the difference has a direction that counts as drift.
    """

    name: str
    split: str
    bins: tuple[np.ndarray, np.ndarray]
    summaries: tuple[dict[str, float], dict[str, float]]
    shown: tuple[str, str]
    change: str
    matters: bool = True


def text_features(data: PreparedData, new: EncodedSplit) -> list[Feature]:
    """Length, share of unknown words and mean surprisal of each text."""
    # Words are compared with validation: all words of train are known, and more frequent there than in other text.
    train, other = data.split("train"), data.split("validation")
    tokens = np.zeros(len(train.table.words), np.int64)
    for block in train.sequences.blocks(BLOCK):
        tokens += np.bincount(block.values, minlength=len(tokens))
    counts = np.bincount(train.table.words, weights=tokens, minlength=len(data.schema.vocabulary)) + 1
    bits = -np.log2(counts / counts.sum())  # (V,) the surprisal of each word, with one added to all counts
    unknown = (np.arange(len(bits)) == UNKNOWN).astype(np.float64)
    return [
        _numbers("length", "train", train.lengths, new.lengths, ",.0f"),
        _numbers("unknown words", "validation", _word_means(other, unknown), _word_means(new, unknown), ".1%", True),
        _numbers("surprisal", "validation", _word_means(other, bits), _word_means(new, bits), ".2f"),
    ]


def label_features(name: str, split: str, task: Task, reference: LabelCounts, new: LabelCounts) -> list[Feature]:
    """The distribution of the labels and, unless each text has exactly one, their amounts."""
    features = [_shares(name, split, reference.texts, new.texts)]
    if task in AMOUNTS:
        amount, form = AMOUNTS[task]
        full_name = amount if name == "labels" else f"{amount}, {name}"
        features.append(_numbers(full_name, split, reference.amounts, new.amounts, form))
    return features


def prediction_features(
    data: PreparedData, run: Path, text: NewText, batch_size: int = 64, device: str = "auto"
) -> list[Feature]:
    """The labels that the model in the folder `run` predicts for new texts, and its confidence for each text."""
    from unroll.inference.trained_model import TrainedModel

    if not (run / "model").is_dir():
        raise ValueError(f"run={run}: no trained model there; accepted: a folder models/DATASET/MODEL/SEED")
    trained = TrainedModel.load(run / "model", device)
    if changed := trained.schema.differences(data.schema):
        raise ValueError(f"run={run}: its model and {data.folder} differ in {', '.join(changed)}")

    columns = ["predicted", "probabilities"]
    table = RunFolder(run).read("predictions.parquet", partial(pq.read_table, columns=columns))
    before = count_labels(*number_labels(data.task, data.label_names, table["predicted"].to_pylist()), data.task)
    known = _confidences(data.task, map(np.array, table["probabilities"].to_pylist()))
    new = encode(text, data.joined(trained.schema.vocabulary))
    predictions = trained.predict(new, batch_size)
    labels = [prediction.labels for prediction in predictions]
    probabilities = [prediction.probabilities for prediction in predictions]
    after: LabelIds = np.array(labels) if data.task not in TOKEN_TASKS else Ragged.from_sequences(labels, np.int64)
    if data.task in TOKEN_TASKS:  # as in predictions.parquet, of the predicted tag of each token
        probabilities = [np.take_along_axis(it.probabilities, it.labels[:, None], axis=1) for it in predictions]
    return [
        *label_features("predictions", "test", data.task, before, count_labels(data.label_names, after, data.task)),
        _numbers("confidence", "test", known, _confidences(data.task, probabilities), ".1%"),
    ]


def _numbers(name: str, split: str, old: np.ndarray, new: np.ndarray, form: str, only_more: bool = False) -> Feature:
    """A number per text, binned by the deciles of the reference; with `only_more`, only an increase is drift."""
    edges = decile_edges(old)
    bins = count_bins(old, edges), count_bins(new, edges)
    before, after = _summary(old), _summary(new)
    shown = _interval(before, form), _interval(after, form)
    change = f"mean {after['mean']:{form}}, compared with {before['mean']:{form}} in {split}"
    return Feature(name, split, bins, (before, after), shown, change, not only_more or after["mean"] > before["mean"])


def _summary(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, [0.1, 0.9])
    return {"mean": float(values.mean()), "10 %": float(low), "90 %": float(high)}


def _interval(summary: dict[str, float], form: str) -> str:
    return f"{summary['mean']:{form}} ({summary['10 %']:{form}} to {summary['90 %']:{form}})"


def _shares(name: str, split: str, reference: dict[str, float], new: dict[str, float]) -> Feature:
    names = list(dict.fromkeys([*reference, *new]))
    old_bins, new_bins = (np.array([texts.get(label, 0.0) for label in names]) for texts in (reference, new))
    old_shares, new_shares = old_bins / old_bins.sum(), new_bins / new_bins.sum()
    order = np.argsort(-np.abs(new_shares - old_shares), kind="stable")
    before, after = ({names[i]: float(shares[i]) for i in order} for shares in (old_shares, new_shares))
    most = names[order[0]]
    change = f"{most} {after[most]:.1%}, compared with {before[most]:.1%} in {split}"
    if unseen := [label for label in after if after[label] and not before[label]]:
        change += f"; missing there: {', '.join(unseen[:SHOWN])}"
    return Feature(name, split, (old_bins, new_bins), (before, after), (_first(before), _first(after)), change)


def _first(shares: dict[str, float]) -> str:
    shown = [f"{name} {share:.1%}" for name, share in shares.items()]
    return ", ".join(shown if len(shown) <= SHOWN else [*shown[:SHOWN], "…"])


def _word_means(split: EncodedSplit, values: np.ndarray) -> np.ndarray:
    """The mean of `values` (V,), given by word, over the tokens of each text, (N,)."""
    by_token = values[split.table.words]
    sums = [Ragged(by_token[block.values], block.offsets).sums() for block in split.sequences.blocks(BLOCK)]
    return np.concatenate(sums) / split.lengths


def _confidences(task: Task, probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """The confidences (N,), rounded to four decimals: padding affects further ones, and many are close to 1."""
    return np.round([CONFIDENCES[task](found) for found in probabilities], 4)

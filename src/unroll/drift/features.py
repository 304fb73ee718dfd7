"""What is compared: one number, or one distribution over names, of every text."""

from dataclasses import dataclass

import numpy as np

from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import UNKNOWN
from unroll.drift.labels import LabelSet, blocks
from unroll.statistics.stability import count_bins, decile_edges


@dataclass(frozen=True)
class Numbers:
    """One number a text: `reference` (m,) and `new` (n,), in the deciles of the reference.

    split: the prepared split that the reference is of. form: how a number is written. only_more: fewer are no matter.
    """

    name: str
    split: str
    reference: np.ndarray
    new: np.ndarray
    form: str
    only_more: bool = False

    @property
    def matters(self) -> bool:
        return not self.only_more or self.new.mean() > self.reference.mean()

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        edges = decile_edges(self.reference)
        return count_bins(self.reference, edges), count_bins(self.new, edges)

    def summaries(self) -> tuple[dict[str, float], dict[str, float]]:
        return _summary(self.reference), _summary(self.new)

    def describe(self, summary: dict[str, float]) -> str:
        mean, low, high = (format(summary[key], self.form) for key in ("mean", "10 %", "90 %"))
        return f"{mean} ({low} to {high})"

    def change(self, reference: dict[str, float], new: dict[str, float]) -> str:
        return f"{new['mean']:{self.form}} in the mean, {reference['mean']:{self.form}} in {self.split}"


@dataclass(frozen=True)
class Names:
    """How many texts have each label; a text that has several counts as a part of one for each."""

    name: str
    split: str
    reference: dict[str, float]
    new: dict[str, float]

    SHOWN = 3
    matters = True

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        names = list(dict.fromkeys([*self.reference, *self.new]))
        reference, new = (np.array([counts.get(name, 0.0) for name in names]) for counts in (self.reference, self.new))
        return reference, new

    def summaries(self) -> tuple[dict[str, float], dict[str, float]]:
        """Shares by name, those first that differ most."""
        reference, new = self.bins()
        names = list(dict.fromkeys([*self.reference, *self.new]))
        before, after = reference / reference.sum(), new / new.sum()
        order = np.argsort(-np.abs(after - before), kind="stable")
        return {names[i]: float(before[i]) for i in order}, {names[i]: float(after[i]) for i in order}

    def describe(self, summary: dict[str, float]) -> str:
        shown = ", ".join(f"{name} {share:.1%}" for name, share in list(summary.items())[: self.SHOWN])
        return f"{shown}, …" if len(summary) > self.SHOWN else shown

    def change(self, reference: dict[str, float], new: dict[str, float]) -> str:
        """Of the label that differs most, and which labels are new."""
        most = next(iter(new))
        unseen = [name for name, share in new.items() if share and not reference[name]]
        text = f"{most} {new[most]:.1%}, {reference[most]:.1%} in {self.split}"
        return f"{text}; not there at all: {', '.join(unseen[: self.SHOWN])}" if unseen else text


Feature = Numbers | Names


def text_features(
    train: EncodedSplit, held_out: EncodedSplit, new: EncodedSplit, vocabulary_size: int
) -> list[Numbers]:
    """Lengths, shares of unknown words, and how rare the words are in train.

    The vocabulary is of train, whose words are therefore known, and more frequent there than elsewhere: what is new
    about words can be told only against texts that the vocabulary was not made from, `held_out`.
    """
    bits = _rarity(train, vocabulary_size)
    unknown = (np.arange(vocabulary_size) == UNKNOWN).astype(np.float64)
    return [
        Numbers("length", "train", train.lengths, new.lengths, ",.0f"),
        Numbers("unknown words", "validation", _word_means(held_out, unknown), _word_means(new, unknown), ".1%", True),
        Numbers("rarity", "validation", _word_means(held_out, bits), _word_means(new, bits), ".2f"),
    ]


def label_features(name: str, split: str, reference: LabelSet, new: LabelSet) -> list[Feature]:
    """The labels, and of tags the share of tokens in entities, of several labels a text their number."""
    features: list[Feature] = [Names(name, split, reference.shares(), new.shares())]
    if new.task != "classification":
        what, form = ("tokens in entities", ".1%") if new.task == "labeling" else ("labels a text", ".2f")
        amount = what if name == "labels" else f"{what}, {name}"
        features.append(Numbers(amount, split, reference.amounts(), new.amounts(), form))
    return features


def _rarity(train: EncodedSplit, vocabulary_size: int) -> np.ndarray:
    """(V,) −log₂ of each word's share of the training tokens, all counts one higher: unseen words have one too."""
    tokens = np.zeros(len(train.table.words), np.int64)
    for first, last in blocks(train.offsets):
        tokens += np.bincount(train.tokens[train.offsets[first] : train.offsets[last]], minlength=len(tokens))
    counts = np.bincount(train.table.words, weights=tokens, minlength=vocabulary_size) + 1
    bits: np.ndarray = -np.log2(counts / counts.sum())
    return bits


def _word_means(split: EncodedSplit, values: np.ndarray) -> np.ndarray:
    """values: (V,) of each word → (N,) their mean over each text's tokens."""
    by_token = values[split.table.words]
    sums = []
    for first, last in blocks(split.offsets):
        start = split.offsets[first]
        sums.append(
            np.add.reduceat(by_token[split.tokens[start : split.offsets[last]]], split.offsets[first:last] - start)
        )
    means: np.ndarray = np.concatenate(sums) / split.lengths
    return means


def _summary(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, [0.1, 0.9])
    return {"mean": float(values.mean()), "10 %": float(low), "90 %": float(high)}

"""Labels of texts, or entities of sentences, as one distribution in which every text counts once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unroll.data.prepared import EncodedSplit
from unroll.data.tags import OUTSIDE
from unroll.data.tokens import Task

NONE = "(none)"  # what a text without entities, or without labels, counts for
BLOCK = 1 << 20  # tokens that are looked at together


@dataclass(frozen=True)
class LabelSet:
    """The labels of N texts.

    Shapes: `labels` numbers of `names`: (N,) for classification; (M,) for labeling, in IOB2, where text i has
    `labels[offsets[i]:offsets[i + 1]]`. Multilabel: bool (N, L). `offsets` is (N + 1,).
    """

    task: Task
    names: list[str]
    labels: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of_split(cls, split: EncodedSplit, names: list[str]) -> "LabelSet":
        return cls(split.task, names, split.labels, split.offsets)

    @classmethod
    def of_names(cls, task: Task, names: list[str], values: Sequence[Any]) -> "LabelSet":
        """values: a name a text, or a list of names; those that `names` does not have join it."""
        ids = {name: i for i, name in enumerate(names)}
        lists = [[value] for value in values] if task == "classification" else values
        numbers = [[ids.setdefault(name, len(ids)) for name in found] for found in lists]
        labels = np.array([number for found in numbers for number in found], np.int64)
        offsets = np.cumsum([0, *map(len, numbers)])
        if task == "multilabel":
            texts = np.repeat(np.arange(len(numbers)), np.diff(offsets))
            given = np.zeros((len(numbers), len(ids)), bool)
            given[texts, labels] = True
            labels = given
        return cls(task, list(ids), labels, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def shares(self) -> dict[str, float]:
        """How many texts each label has; a text with several, or with several entities, is shared out among them.

        Entities of one text are not independent, so they must not count as so many observations.
        """
        if self.task == "classification":
            return self._named(np.bincount(self.labels, minlength=len(self.names)))
        if self.task == "multilabel":
            sums = np.maximum(self.labels.sum(axis=1, keepdims=True), 1)  # (N, 1)
            return self._named((self.labels / sums).sum(axis=0), int((~self.labels.any(axis=1)).sum()))
        types, kinds, opens = self._entity_types()
        totals = np.zeros(len(types) + 1)
        for tags, starts in self._blocks():
            kind = kinds[tags]
            before = np.concatenate([[0], kind[:-1]])
            before[starts] = 0
            is_first = (kind > 0) & (opens[tags] | (kind != before))  # as conlleval reads tags that are no IOB2
            texts = (np.searchsorted(starts, np.arange(len(tags)), side="right") - 1)[is_first]
            entities = np.bincount(texts, minlength=len(starts))
            totals += np.bincount(kind[is_first], 1 / entities[texts], minlength=len(totals))
            totals[0] += np.count_nonzero(entities == 0)
        return dict(zip([NONE, *types], totals.tolist(), strict=True))

    def amounts(self) -> np.ndarray:
        """(N,) the share of a sentence's tokens in entities, or the number of a text's labels (multilabel)."""
        if self.task == "multilabel":
            counts: np.ndarray = self.labels.sum(axis=1)
            return counts
        kinds = self._entity_types()[1]
        inside = [np.add.reduceat(kinds[tags] > 0, starts, dtype=np.float64) for tags, starts in self._blocks()]
        return np.concatenate(inside) / np.diff(self.offsets)

    def _named(self, totals: np.ndarray, none: int | None = None) -> dict[str, float]:
        named = dict(zip(self.names, totals.astype(float).tolist(), strict=True))
        return named if none is None else {NONE: float(none), **named}

    def _entity_types(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The types, and of every tag the number of its type, from 1 and 0 outside, and whether it is a B."""
        types = list(dict.fromkeys(name[2:] for name in self.names if name != OUTSIDE))
        kinds = [0 if name == OUTSIDE else types.index(name[2:]) + 1 for name in self.names]
        return types, np.array(kinds), np.array([name.startswith("B-") for name in self.names])

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Tags of some whole texts, and where these begin."""
        for first, last in blocks(self.offsets):
            start = self.offsets[first]
            yield self.labels[start : self.offsets[last]], self.offsets[first:last] - start


def blocks(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) of texts that have about `BLOCK` tokens together."""
    first, texts = 0, len(offsets) - 1
    while first < texts:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BLOCK, side="right")) - 1)
        yield first, last
        first = last

"""The distribution of the labels or entities of texts, and the labels in a file of new text."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE, TagReader
from unroll.data.tokens import Task
from unroll.drift.new_text import NewText, shorten

NONE = "(none)"  # counts texts without entities or labels
BLOCK = 1 << 20  # number of tokens that are processed at a time
_MISSING = (None, "", -1)  # `datasets` represents a missing label as -1


@dataclass(frozen=True)
class LabelSet:
    """The labels of N texts.

    Args:
        names: the label names by id.
        labels: ids (N,) for classification; (N, L) bool for multilabel; the ids of IOB2 tags, one sequence per text,
            for labeling.
    """

    task: Task
    names: list[str]
    labels: np.ndarray | Ragged

    @classmethod
    def of_split(cls, split: EncodedSplit, names: list[str]) -> "LabelSet":
        return cls(split.task, names, split.tags if split.task == "labeling" else split.labels)

    @classmethod
    def of_names(cls, task: Task, names: list[str], values: Sequence[Any]) -> "LabelSet":
        """Convert label names, one per text for classification and a list per text otherwise.

        Labels that are not in `names` are appended to them.
        """
        ids = {name: i for i, name in enumerate(names)}
        lists = [[value] for value in values] if task == "classification" else values
        found = Ragged.from_sequences([[ids.setdefault(name, len(ids)) for name in row] for row in lists], np.int64)
        return cls(task, list(ids), _LABELS[task](found, len(ids)))

    def __len__(self) -> int:
        return len(self.labels)

    def shares(self) -> dict[str, float]:
        """The number of texts with each label or entity type.

        A text with several labels or entities contributes a fraction of 1 for each, because entities of one text are
        not independent observations.
        """
        if isinstance(self.labels, Ragged):
            return self._entity_shares(self.labels)
        if self.task == "classification":
            counts = np.bincount(self.labels, minlength=len(self.names))
            return dict(zip(self.names, counts.astype(float).tolist(), strict=True))
        sums = self.labels.sum(axis=1, keepdims=True)  # (N, 1)
        totals = [(sums == 0).sum(), *(self.labels / np.maximum(sums, 1)).sum(axis=0)]
        return dict(zip([NONE, *self.names], map(float, totals), strict=True))

    def amounts(self) -> np.ndarray:
        """The share of tokens in entities (labeling) or the number of labels (multilabel) of each text, (N,)."""
        if not isinstance(self.labels, Ragged):
            counts: np.ndarray = self.labels.sum(axis=1)
            return counts
        is_inside = self._entity_types()[1] > 0
        blocks = self.labels.blocks(BLOCK)
        sums = [Ragged(is_inside[tags.values].astype(np.float64), tags.offsets).sums() for tags in blocks]
        return np.concatenate(sums) / self.labels.lengths

    def _entity_shares(self, labels: Ragged) -> dict[str, float]:
        types, type_of, is_start = self._entity_types()
        totals = np.zeros(len(types) + 1)
        for tags in labels.blocks(BLOCK):
            kinds, texts = type_of[tags.values], np.repeat(np.arange(len(tags)), tags.lengths)  # (M,)
            previous = np.concatenate([[0], kinds[:-1]])
            previous[tags.offsets[:-1]] = 0
            is_first = (kinds > 0) & (is_start[tags.values] | (kinds != previous))  # as in conlleval
            entities = np.bincount(texts[is_first], minlength=len(tags))
            totals += np.bincount(kinds[is_first], 1 / entities[texts[is_first]], minlength=len(totals))
            totals[0] += np.count_nonzero(entities == 0)
        return dict(zip([NONE, *types], totals.tolist(), strict=True))

    def _entity_types(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The entity types; for each tag the number of its type (from 1, or 0 for O), and whether it is a B-TYPE."""
        types = list(dict.fromkeys(name[2:] for name in self.names if name != OUTSIDE))
        numbers = [0 if name == OUTSIDE else types.index(name[2:]) + 1 for name in self.names]
        return types, np.array(numbers), np.array([name.startswith("B-") for name in self.names])


def _assigned(labels: Ragged, size: int) -> np.ndarray:
    assigned = np.zeros((len(labels), size), bool)
    assigned[np.repeat(np.arange(len(labels)), labels.lengths), labels.values] = True
    return assigned


# The labels of a LabelSet, from the label ids of each text and the number of labels.
_LABELS: dict[Task, Callable[[Ragged, int], np.ndarray | Ragged]] = {
    "classification": lambda labels, _: labels.values,
    "multilabel": _assigned,
    "labeling": lambda labels, _: labels,
}


def shorten_labels(labels: LabelSet, data: PreparedData) -> LabelSet:
    """Shorten the tags of a labeling dataset in the same way as their tokens."""
    if not isinstance(labels.labels, Ragged):
        return labels
    inside = np.array([name.startswith("I-") for name in labels.names])
    return replace(labels, labels=shorten(labels.labels, data, inside)[0])


def read_new_labels(new: NewText, path: Path, source: Source, names: list[str]) -> LabelSet | None:
    """The labels of the texts in a file; None if no text has usable labels.

    Values are label names, or numbers of the names declared by the file or else by the dataset. Labels that are not
    in `names`, those of the prepared data, are kept as additional labels.

    Raises:
        ValueError: the labels have an unsupported type, none of them belongs to the dataset, or tags do not belong to
            its tag scheme.
    """
    where = f"{path}, column {source.label_column!r}"
    labels = _usable(new, source)
    if not labels:
        return None
    nested = source.task != "classification"
    values = [value for found in labels for value in found] if nested else labels
    name_of = _name_values(values, _numbered_names(source, names), new.declared_names, where)
    named: list[Any] = [[name_of[value] for value in found] if nested else name_of[found] for found in labels]
    if source.task == "labeling" and "spans" not in source.columns:
        named = _read_tags(named, source, [*name_of.values(), *(_numbered_names(source, names) or [])], where)
        if not named:
            return None
    given = {name for found in named for name in found} if nested else set(named)
    if given and not given & set(names):
        raise ValueError(
            f"{where} has the labels {_shown(sorted(given))}, none of which is in the dataset; accepted: "
            f"{_shown(names)}, their numbers, or a file without this column"
        )
    return LabelSet.of_names(source.task, names, named)


def _usable(new: NewText, source: Source) -> list[Any]:
    labels = new.labels or []
    if source.task == "classification":
        return [label for label in labels if label not in _MISSING]
    return [label for label in labels if isinstance(label, list)]


def _numbered_names(source: Source, names: list[str]) -> list[str] | None:
    """The names by number; None if they are unknown, since prepare has converted the tags to IOB2."""
    if source.task == "labeling" and source.tag_scheme != "iob2":
        return source.label_names
    return source.label_names or names


def _name_values(values: list[Any], names: list[str] | None, declared: list[str] | None, where: str) -> dict[Any, str]:
    """Map each distinct value to a label name."""
    if wrong := {type(value).__name__ for value in values} - {"str", "int", "bool"}:
        raise ValueError(f"{where} contains {' and '.join(sorted(wrong))}; accepted: names, numbers or booleans")
    distinct = set(values)
    as_names = {value: str(value) for value in distinct}
    if set(names or []) == {"false", "true"}:  # Python writes False and True
        as_names = {value: name.lower() for value, name in as_names.items()}
    if declared is None and set(as_names.values()) <= set(names or []):
        return as_names
    by_number = {str(number): name for number, name in enumerate(declared or names or [])}
    as_numbers = {value: str(int(value)) if isinstance(value, bool) else str(value) for value in distinct}
    if set(as_numbers.values()) <= set(by_number):
        return {value: by_number[number] for value, number in as_numbers.items()}
    return as_names


def _read_tags(sentences: list[list[str]], source: Source, names: list[str], where: str) -> list[list[str]]:
    """Convert tags to IOB2; sentences with an invalid sequence of tags are left out."""
    try:
        reader = TagReader(dict.fromkeys(names), source.tag_scheme)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    read = []
    for tags in sentences:
        try:
            read.append(reader.read(tags))
        except ValueError:
            continue
    return read


def _shown(names: Iterable[str]) -> str:
    some = list(names)
    return ", ".join(some[:10]) + (", …" if len(some) > 10 else "")

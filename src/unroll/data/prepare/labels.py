"""The labels of a dataset: their names, and the conversion of raw values to label ids."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from unroll.data.source import Source
from unroll.data.tags import OUTSIDE, TagReader, TagScheme
from unroll.data.tokens import Task


class BadRow(ValueError):
    """A row that cannot be used; the message is the reason in the quarantine."""


def first_names(names: list[str]) -> str:
    """At most 20 names, for messages."""
    return ", ".join(names if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"])


class Labels:
    """One label per text.

    `values` contains the raw value of each label in `names`. By default, values are names, ids or, for two labels,
    False and True.
    """

    def __init__(self, names: list[str], values: Sequence[Hashable] | None = None) -> None:
        self.names = names
        defaults = [names, range(len(names)), [False, True] if len(names) == 2 else []]
        kinds = defaults if values is None else [values]
        # Keys include the type because True == 1.
        self._ids = {(type(value), value): i for kind in kinds for i, value in enumerate(kind)}

    @staticmethod
    def of(source: Source, declared: list[str] | None, train: Path) -> "Labels":
        """The declared labels of a dataset, or the sorted distinct values of train; ValueError for unusable ones."""
        kind, accepted = _KINDS[source.task]
        values = None if declared else _distinct_values(source, train, accepted)
        names = declared or [str(value).lower() if isinstance(value, bool) else str(value) for value in values or []]
        if "spans" in source.columns:
            return TagLabels([OUTSIDE, *(f"{prefix}-{name}" for name in names for prefix in "BI")], "iob2")
        return TagLabels(names, source.tag_scheme) if kind is TagLabels else kind(names, values)

    def ids(self, value: Any) -> list[int]:
        """The label ids of a row; BadRow if a value is missing or unknown."""
        return [self.id(value)]

    def array(self, ids: list[list[int]]) -> np.ndarray:
        """The label ids of rows as an array: (N,); (N, L) bool for MultiLabels; (M,) for TagLabels."""
        return np.array([label for row in ids for label in row], np.int64)

    def id(self, value: Any) -> int:
        """The id of a single raw value; see `ids`."""
        if value is None:
            raise BadRow("missing label")
        if isinstance(value, str | int) and (type(value), value) in self._ids:
            return self._ids[type(value), value]
        raise BadRow(f"unknown label {value!r}")


class MultiLabels(Labels):
    """Any number of labels per text."""

    def ids(self, value: Any) -> list[int]:
        if value is None:
            raise BadRow("missing labels")
        if not isinstance(value, list):
            raise BadRow(f"labels are not a list but {type(value).__name__}")
        return sorted({self.id(label) for label in value})

    def array(self, ids: list[list[int]]) -> np.ndarray:
        matrix = np.zeros((len(ids), len(self.names)), bool)
        for row, labels in enumerate(ids):
            matrix[row, labels] = True
        return matrix


class TagLabels(Labels):
    """A tag per token, in any scheme; the attribute `names` contains IOB2 tags."""

    def __init__(self, names: list[str], scheme: TagScheme) -> None:
        super().__init__(names)
        self._raw_names = names
        self._reader = TagReader(names, scheme)
        self.names = self._reader.names
        self._iob2_ids = {name: i for i, name in enumerate(self.names)}

    def ids(self, value: Any) -> list[int]:
        """The ids of the IOB2 tags of a sentence; BadRow if a tag is unknown or cannot follow the preceding one."""
        raw = [self._raw_names[self.id(tag)] for tag in value]
        try:
            return [self._iob2_ids[tag] for tag in self._reader.read(raw)]
        except ValueError as error:
            raise BadRow(str(error)) from error


# The class for each task, and the types of raw values that need no declared names.
_KINDS: dict[Task, tuple[type[Labels], tuple[type, ...]]] = {
    "classification": (Labels, (str, int, bool)),
    "multilabel": (MultiLabels, (str, int)),
    "labeling": (TagLabels, (str,)),
}


def _distinct_values(source: Source, train: Path, accepted: tuple[type, ...]) -> list[Any]:
    """The sorted distinct values of the label column, which must have one of the accepted types."""
    column = source.label_column
    batches = pq.ParquetFile(train).iter_batches(columns=[column])
    values: Iterable[Any] = chain.from_iterable(batch[column].to_pylist() for batch in batches)
    if source.task != "classification":
        values = (value for row in values if isinstance(row, list) for value in row)
    if "spans" in source.columns:
        values = (span.get("label") for span in values if isinstance(span, dict))
    present = (value for value in values if value is not None)
    first = next(present, None)
    if isinstance(first, list):
        raise ValueError(
            f"column {column!r} of {source.path} contains lists of labels; accepted: one label per text, or "
            "dataset.task=multilabel with the column as dataset.columns.labels"
        )
    if first is None and source.task == "multilabel":
        raise ValueError(f"column {column!r} of {source.path} contains no list with a label; accepted: lists of labels")
    if first is not None and type(first) not in accepted:  # all values of a column have the same type
        raise ValueError(
            f"column {column!r} of {source.path} contains {type(first).__name__} labels without names; accepted: a "
            f"ClassLabel feature, {', '.join(kind.__name__ for kind in accepted)}, or names in dataset.label_names"
        )
    return [] if first is None else sorted({first, *present})

"""The labels of a dataset: their names, and what a raw value means."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from unroll.data.source import Source
from unroll.data.tags import OUTSIDE, TagReader, TagScheme


class BadRow(ValueError):
    """A row that cannot be used; the message is the reason that the quarantine gives."""


class Labels:
    """The label names of a dataset, and what a raw label value means."""

    def __init__(self, names: list[str], values: Sequence[Hashable] | None = None) -> None:
        """`values`: what rows hold for each name; by default the name, its number, or of two names false and true."""
        self.names = names
        numbers = range(len(names))
        kinds = [names, numbers, [False, True][: len(names) if len(names) == 2 else 0]] if values is None else [values]
        # With the type, since True equals 1.
        self._ids = {(type(value), value): i for kind in kinds for i, value in enumerate(kind)}

    @classmethod
    def of(cls, source: Source, declared: list[str] | None, train: Path) -> "Labels":
        """The declared names, else the distinct values of the training split, sorted.

        Raises:
            ValueError: nothing is declared and the values are of no accepted type, or a tag name is none of the scheme.
        """
        if "spans" in source.columns:
            types = declared or _distinct_values(source, train, (str,))
            return TagLabels([OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in "BI")], "iob2")
        if source.task == "labeling":
            return TagLabels(declared or _distinct_values(source, train, (str,)), source.tag_scheme)
        if declared is not None:
            return MultiLabels(declared) if source.task == "multilabel" else cls(declared)
        if source.task == "multilabel":
            values = _distinct_values(source, train, (str, int))
            return MultiLabels([str(value) for value in values], values)
        values = _distinct_values(source, train, (str, int, bool))
        return cls([str(value).lower() if isinstance(value, bool) else str(value) for value in values], values)

    def describe(self) -> str:
        shown = ", ".join(self.names[:20])
        return shown if len(self.names) <= 20 else f"{shown}, and {len(self.names) - 20} more"

    def ids(self, value: Any) -> list[int]:
        """The labels of a row. Raises BadRow."""
        return [self.id(value)]

    def id(self, value: Any) -> int:
        """Raises BadRow for a value that is neither a name nor the number of one."""
        if value is None:
            raise BadRow("missing label")
        if isinstance(value, str | int) and (type(value), value) in self._ids:
            return self._ids[type(value), value]
        raise BadRow(f"unknown label {value!r}")


class MultiLabels(Labels):
    """The labels of a dataset whose texts have any number of them."""

    def ids(self, value: Any) -> list[int]:
        """The labels of a row, each once; none of an empty list. Raises BadRow."""
        if value is None:
            raise BadRow("missing labels")
        if not isinstance(value, list):
            raise BadRow(f"labels are not a list but {type(value).__name__}")
        return sorted({self.id(label) for label in value})


class TagLabels(Labels):
    """The tags of a dataset in any scheme; `names` are those of IOB2."""

    def __init__(self, names: list[str], scheme: TagScheme) -> None:
        super().__init__(names)
        self._raw_names = names
        self._reader = TagReader(names, scheme)
        self.names = self._reader.names
        self._iob2_ids = {name: i for i, name in enumerate(self.names)}

    def ids(self, value: Any) -> list[int]:
        """The numbers of a sentence's IOB2 tags. Raises BadRow for an unknown tag, or one that may not stand there."""
        raw = [self._raw_names[self.id(tag)] for tag in value]
        try:
            return [self._iob2_ids[tag] for tag in self._reader.read(raw)]
        except ValueError as error:
            raise BadRow(str(error)) from error


def _distinct_values(source: Source, train: Path, accepted: tuple[type, ...]) -> list[Any]:
    """The values of the label column, sorted; of one of the accepted types."""
    column = source.label_column
    present: set[Any] = set()
    kinds: set[type] = set()
    for batch in pq.ParquetFile(train).iter_batches(columns=[column]):
        values = batch[column].to_pylist()
        if source.task != "classification":
            values = [value for row in values if isinstance(row, list) for value in row]
        if "spans" in source.columns:
            values = [span.get("label") for span in values if isinstance(span, dict)]
        kinds |= {type(value) for value in values if value is not None}
        if kinds <= set(accepted):
            present |= {value for value in values if value is not None}
    if kinds == {list}:
        raise ValueError(
            f"column {column!r} of {source.path} holds lists of labels; accepted: one label a text, or "
            "dataset.task=multilabel with the column as dataset.columns.labels"
        )
    if not kinds and source.task == "multilabel":
        raise ValueError(f"column {column!r} of {source.path} holds no list with a label; accepted: lists of labels")
    if len(kinds) > 1 or not kinds <= set(accepted):
        raise ValueError(
            f"column {column!r} of {source.path} holds {' and '.join(sorted(kind.__name__ for kind in kinds))} labels "
            f"without names; accepted: a ClassLabel feature, {', '.join(kind.__name__ for kind in accepted)}, or names "
            "in dataset.label_names"
        )
    return sorted(present)

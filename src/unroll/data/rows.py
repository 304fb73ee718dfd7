"""Raw rows, one by one: checked, tokenised, their labels turned into numbers; or quarantined with the reason."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.encoding import DistinctTokens
from unroll.data.source import Source
from unroll.data.tags import TagReader, TagScheme
from unroll.data.text import compose, tokenize


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
        if source.task == "labeling":
            return TagLabels(declared or _distinct_values(source, "labels", train, (str,)), source.tag_scheme)
        if declared is not None:
            return cls(declared)
        values = _distinct_values(source, "label", train, (str, int, bool))
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


def _distinct_values(source: Source, column: str, train: Path, accepted: tuple[type, ...]) -> list[Any]:
    """The values of a label column, sorted; of one of the accepted types."""
    column = source.columns[column]
    values = pq.read_table(train, columns=[column])[column].to_pylist()
    if source.task == "labeling":
        values = [tag for tags in values if isinstance(tags, list) for tag in tags]
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if len(kinds) > 1 or not kinds <= set(accepted):
        raise ValueError(
            f"column {column!r} of {source.path} holds {' and '.join(sorted(kind.__name__ for kind in kinds))} labels "
            f"without names; accepted: a ClassLabel feature, {', '.join(kind.__name__ for kind in accepted)}, or names "
            "in dataset.label_names"
        )
    return sorted(set(present))


@dataclass(frozen=True)
class SplitRows:
    """A split's usable rows as ragged arrays (see EncodedSplit), and the others as (row, reason)."""

    tokens: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray
    quarantined: list[tuple[int, str]]

    def count_reasons(self) -> dict[str, int]:
        """Rows by reason, most frequent first."""
        return dict(Counter(reason for _, reason in self.quarantined).most_common())

    def take(self, chosen: np.ndarray) -> "SplitRows":
        """The rows at the positions `chosen`."""
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        one_label_a_row = len(self.labels) == len(self.rows)
        return SplitRows(
            tokens=self.tokens[tokens],
            labels=self.labels[chosen if one_label_a_row else tokens],
            offsets=offsets,
            rows=self.rows[chosen],
            quarantined=self.quarantined,
        )


def read_rows(path: Path, source: Source, labels: Labels, distinct: DistinctTokens) -> SplitRows:
    """Read one raw split, a batch of rows at a time."""
    read_row = _read_text if source.task == "classification" else _read_tokens
    ids: list[np.ndarray] = []
    targets: list[list[int]] = []
    rows: list[int] = []
    quarantined: list[tuple[int, str]] = []
    for row, values in enumerate(raw_rows(path, source)):
        try:
            if values is None:
                raise BadRow("broken encoding: not UTF-8")
            tokens, target = read_row(values, labels)
        except BadRow as reason:
            quarantined.append((row, str(reason)))
        else:
            ids.append(distinct.ids(tokens))
            targets.append(target)
            rows.append(row)
    return SplitRows(
        tokens=np.concatenate(ids) if ids else np.zeros(0, np.int32),
        labels=np.array([label for target in targets for label in target], np.int64),
        offsets=np.cumsum([0] + [len(tokens) for tokens in ids]),
        rows=np.array(rows, np.int64),
        quarantined=quarantined,
    )


def check_columns(path: Path, source: Source) -> None:
    """Raise ValueError where a raw split lacks a column that the dataset names."""
    found = pq.read_schema(path).names
    for ours, theirs in source.columns.items():
        if theirs not in found:
            raise ValueError(f"dataset.columns.{ours}={theirs!r}: {path} has no such column; it has {', '.join(found)}")


def raw_rows(path: Path, source: Source) -> Iterator[dict[str, Any] | None]:
    """The rows of a raw split under our names of the columns, a batch at a time; None for one that is not UTF-8."""
    for batch in pq.ParquetFile(path).iter_batches(columns=list(source.columns.values())):
        try:
            values: list[dict[str, Any] | None] = batch.to_pylist()
        except UnicodeDecodeError:
            values = [_decoded(batch.slice(i, 1)) for i in range(len(batch))]
        for row in values:
            yield row and {ours: row[theirs] for ours, theirs in source.columns.items()}


def _decoded(batch: pa.RecordBatch) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = batch.to_pylist()[0]
        return row
    except UnicodeDecodeError:
        return None


def _read_text(values: dict[str, Any], labels: Labels) -> tuple[list[str], list[int]]:
    text = values["text"]
    if not isinstance(text, str):
        raise BadRow("missing text" if text is None else f"text is not a string but {type(text).__name__}")
    tokens = tokenize(text)
    if not tokens:
        raise BadRow("empty text")
    return tokens, labels.ids(values["label"])


def _read_tokens(values: dict[str, Any], labels: Labels) -> tuple[list[str], list[int]]:
    tokens, tags = values["tokens"], values["labels"]
    if not tokens:
        raise BadRow("no tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise BadRow("tokens are not all non-empty strings")
    if not isinstance(tags, list):
        raise BadRow("missing labels")
    if len(tokens) != len(tags):
        raise BadRow("tokens and labels differ in number")
    return [compose(token) for token in tokens], labels.ids(tags)


def sample_texts(raw: Path, source: Source, count: int = 3) -> list[str]:
    """The first usable training texts, to try a model on; a labeling sentence as its tokens with spaces between.

    Raises:
        ValueError: `raw` holds no downloaded data.
    """
    path = raw / "train.parquet"
    if not path.exists():
        raise ValueError(f"{raw} holds no downloaded data; first: python pipelines/download.py dataset={raw.name}")
    column = source.columns["text" if source.task == "classification" else "tokens"]
    values = next(pq.ParquetFile(path).iter_batches(100, columns=[column]))[column].to_pylist()
    sentences = [[value] if isinstance(value, str) else value for value in values if value]
    texts = [" ".join(tokens) for tokens in sentences if all(isinstance(token, str) for token in tokens)]
    return [text for text in texts if tokenize(text)][:count]

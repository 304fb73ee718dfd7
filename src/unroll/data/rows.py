"""Raw rows, one by one: checked, tokenised, their labels turned into numbers; or quarantined with the reason."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.encoding import DistinctTokens
from unroll.data.labels import BadRow, Labels
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE
from unroll.data.text import compose, token_places, tokenize


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
    read_row = _READERS[tuple(sorted(source.columns))]
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
        labels=_label_matrix(targets, len(labels.names)) if source.task == "multilabel" else _flat(targets),
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
    return _tokenize(values["text"]), labels.ids(values["label"])


def _read_topics(values: dict[str, Any], labels: Labels) -> tuple[list[str], list[int]]:
    return _tokenize(values["text"]), labels.ids(values["labels"])


def _tokenize(text: Any) -> list[str]:
    if not isinstance(text, str):
        raise BadRow("missing text" if text is None else f"text is not a string but {type(text).__name__}")
    tokens = tokenize(text)
    if not tokens:
        raise BadRow("empty text")
    return tokens


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


def _read_spans(values: dict[str, Any], labels: Labels) -> tuple[list[str], list[int]]:
    """Entities as characters of the text become tags of its tokens."""
    tokens, spans = _tokenize(values["text"]), values["spans"]
    if spans is None:
        raise BadRow("missing spans")
    places = token_places(values["text"])
    starts = {start: i for i, (start, _) in enumerate(places)}
    ends = {end: i + 1 for i, (_, end) in enumerate(places)}
    tags = [OUTSIDE] * len(tokens)
    for span in spans:
        if not isinstance(span, dict) or not {"start", "end", "label"} <= set(span):
            raise BadRow("spans are not all {start, end, label}")
        first, last = starts.get(span["start"]), ends.get(span["end"])
        if first is None or last is None or last <= first:
            raise BadRow("a span does not begin and end with a token")
        if any(tag != OUTSIDE for tag in tags[first:last]):
            raise BadRow("spans overlap")
        tags[first:last] = [f"B-{span['label']}"] + [f"I-{span['label']}"] * (last - first - 1)
    return tokens, labels.ids(tags)


_Reader = Callable[[dict[str, Any], Labels], tuple[list[str], list[int]]]
_READERS: dict[tuple[str, ...], _Reader] = {  # by our names of the columns
    ("label", "text"): _read_text,
    ("labels", "text"): _read_topics,
    ("labels", "tokens"): _read_tokens,
    ("spans", "text"): _read_spans,
}


def _flat(targets: list[list[int]]) -> np.ndarray:
    return np.array([label for target in targets for label in target], np.int64)


def _label_matrix(targets: list[list[int]], num_labels: int) -> np.ndarray:
    """(N, L) bool."""
    matrix = np.zeros((len(targets), num_labels), bool)
    for row, target in enumerate(targets):
        matrix[row, target] = True
    return matrix


def sample_texts(raw: Path, source: Source, count: int = 3) -> list[str]:
    """The first usable training texts, to try a model on; a labeling sentence as its tokens with spaces between.

    Raises:
        ValueError: `raw` holds no downloaded data.
    """
    path = raw / "train.parquet"
    if not path.exists():
        raise ValueError(f"{raw} holds no downloaded data; first: python pipelines/download.py dataset={raw.name}")
    column = source.text_column
    values = next(pq.ParquetFile(path).iter_batches(100, columns=[column]))[column].to_pylist()
    sentences = [[value] if isinstance(value, str) else value for value in values if value]
    texts = [" ".join(tokens) for tokens in sentences if all(isinstance(token, str) for token in tokens)]
    return [text for text in texts if tokenize(text)][:count]

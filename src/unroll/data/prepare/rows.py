"""Reads a raw split into a corpus; rows that cannot be used are quarantined with the reason."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from joblib import delayed

from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.labels import BadRow, Labels
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.prepare.workers import in_processes
from unroll.data.ragged import Ragged
from unroll.data.raw import group_starts, raw_rows
from unroll.data.source import Source
from unroll.data.spans import SpanEdges, tag_spans
from unroll.data.text import is_visible
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import TOKEN_TASKS
from unroll.files import whole_file

FEW_GROUPS = 4  # up to this number of row groups, starting processes takes longer than reading
_QUARANTINE = pa.schema([("split", "string"), ("row", "int64"), ("reason", "string"), ("content", "string")])


class Row(NamedTuple):
    """The tokens and label ids of a row, and the number of its spans that start or end inside a token."""

    tokens: list[str]
    labels: list[int]
    inexact_spans: int = 0


def checked_tokens(tokens: Any, tokenizer: Tokenizer) -> list[str]:
    """The given tokens of a row, normalised; BadRow if they cannot be used."""
    if not tokens:
        raise BadRow("no tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
        raise BadRow("tokens are not all non-empty strings")
    if not any(map(is_visible, tokens)):
        raise BadRow("no tokens")
    return [tokenizer.normalize(token) for token in tokens]


@dataclass(frozen=True)
class RowReader:
    """Converts the raw rows of a dataset into tokens and label ids; see `tag_spans` for `span_edges`."""

    source: Source
    labels: Labels
    tokenizer: Tokenizer
    span_edges: SpanEdges = "cut"

    def read(self, values: dict[str, Any] | None) -> Row:
        """Read a row as `raw_rows` yields it; BadRow if it cannot be used."""
        if values is None:
            raise BadRow("broken encoding: not UTF-8")
        if "spans" in values:
            return self._read_spans(values["text"], values["spans"])
        *texts, label = (values[name] for name in ("text", "text_pair", "tokens", "label", "labels") if name in values)
        if "tokens" not in values:
            return Row(self._tokenize(*texts), self.labels.ids(label))
        tokens = checked_tokens(values["tokens"], self.tokenizer)
        if self.source.task == "labeling":
            if not isinstance(label, list):
                raise BadRow("missing labels")
            if len(tokens) != len(label):
                raise BadRow("tokens and labels differ in number")
        return Row(tokens, self.labels.ids(label))

    def _tokenize(self, *texts: Any) -> list[str]:
        for text in texts:
            if not isinstance(text, str):
                raise BadRow("missing text" if text is None else f"text is not a string but {type(text).__name__}")
        tokens = self.tokenizer.tokenize(*texts)
        if not tokens:
            raise BadRow("empty text")
        return tokens

    def _read_spans(self, text: Any, spans: Any) -> Row:
        """A text with entities given in characters, which are converted to tags of its tokens."""
        self._tokenize(text)
        try:
            offsets, tags, inexact = tag_spans(text, spans, self.tokenizer.offsets(text), self.span_edges)
        except ValueError as reason:
            raise BadRow(str(reason)) from reason
        tokens = [self.tokenizer.normalize(text[start:end]) for start, end in offsets]
        return Row(tokens, self.labels.ids(tags), inexact)


class Chunk(NamedTuple):
    """The usable rows of a row group: their distinct tokens in order, and all tokens as ids in them, from 1.

    `label_values` are those of all its labels, see `Labels.looked_up`.
    """

    distinct: list[str]
    tokens: Ragged
    labels: np.ndarray
    rows: np.ndarray
    quarantined: list[tuple[int, str]]
    inexact_spans: int
    label_values: set[int | str]


def read_split(path: Path, reader: RowReader, corpus: Corpus, processes: int | None = 1) -> SplitRows:
    """Append the usable rows of a raw split to the corpus, with one process per core if `processes` is None.

    The result does not depend on the number of processes.

    Raises:
        ValueError: the labels are numbers from 1 to L of L names, which would be read as those of other names.
    """
    start = len(corpus.tokens)
    has_tags = reader.labels.task in TOKEN_TASKS
    lengths, rows, labels = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [reader.labels.array([])]
    quarantined: list[tuple[int, str]] = []
    inexact_spans = 0
    label_values: set[int | str] = set()
    for chunk in _chunks(path, reader, processes):
        corpus.tokens.append(corpus.distinct.ids(chunk.distinct)[chunk.tokens.values - 1])
        if has_tags:
            corpus.tags.append(chunk.labels)
        else:
            labels.append(chunk.labels)
        lengths.append(chunk.tokens.lengths)
        rows.append(chunk.rows)
        quarantined += chunk.quarantined
        inexact_spans += chunk.inexact_spans
        label_values |= chunk.label_values
    source = reader.source
    reader.labels.check_from_zero(label_values, f"column {source.label_column!r} of {source.path}")
    sizes = np.concatenate(lengths)
    starts = start + np.cumsum(sizes) - sizes
    found = None if has_tags else np.concatenate(labels)
    return SplitRows(corpus, starts, sizes, found, np.concatenate(rows), quarantined, inexact_spans)


def _chunks(path: Path, reader: RowReader, processes: int | None) -> Iterator[Chunk]:
    *starts, _ = group_starts(path)
    tasks = (delayed(_read_chunk)(path, reader, group, start) for group, start in enumerate(starts))
    return in_processes(tasks, processes, is_little=len(starts) <= FEW_GROUPS)


def _read_chunk(path: Path, reader: RowReader, group: int, start: int) -> Chunk:
    """Read the row group `group`, whose first row is row `start` of the split."""
    reader = replace(reader, labels=reader.labels.fresh())
    read: dict[int, Row] = {}
    quarantined: list[tuple[int, str]] = []
    for row, values in enumerate(raw_rows(path, reader.source, group), start):
        try:
            read[row] = reader.read(values)
        except BadRow as reason:
            quarantined.append((row, str(reason)))
    rows, distinct = read.values(), DistinctTokens()
    tokens = Ragged.from_sequences([distinct.ids(row.tokens) for row in rows], np.int32)
    labels, kept = reader.labels.array([row.labels for row in rows]), np.array(list(read), np.int64)
    inexact_spans = sum(row.inexact_spans for row in rows)
    return Chunk(list(distinct), tokens, labels, kept, quarantined, inexact_spans, reader.labels.looked_up)


def write_quarantine(raw: Path, source: Source, splits: dict[str, SplitRows], path: Path) -> None:
    """Write the quarantined rows as parquet; the column `content` is the raw row as JSON, null if it is not UTF-8."""
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, _QUARANTINE) as file:
        for split, rows in splits.items():
            reasons, raw_split = dict(rows.quarantined), raw / f"{split}.parquet"
            starts = group_starts(raw_split) if reasons else []
            for group, (start, end) in enumerate(pairwise(starts)):
                if reasons.keys().isdisjoint(range(start, end)):
                    continue
                entries = [
                    (split, row, reasons[row], values and json.dumps(values, ensure_ascii=False, default=str))
                    for row, values in enumerate(raw_rows(raw_split, source, group), start)
                    if row in reasons
                ]
                file.write_table(pa.table(list(zip(*entries, strict=True)), _QUARANTINE))

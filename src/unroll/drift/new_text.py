"""Reads and encodes a file of new text, with the columns of a dataset or with one text per line."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from unroll.data.download.column_files import read_conll
from unroll.data.download.tables import csv_batches
from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.prepare.lengths import TooLong, short_parts
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.raw import declared_names
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE
from unroll.data.text_files import extension, open_text
from unroll.data.tokenizer import Tokenizer

ACCEPTED = ".csv, .jsonl (JSON lines), .tsv, .parquet, .arrow, or .txt with one text per line"
BLOCK = 1 << 24  # bytes; maximum length of a line
ROWS = 1000  # number of rows that are converted to Python objects at a time


@dataclass(frozen=True)
class NewText:
    """The usable texts of a file.

    Args:
        distinct: the distinct tokens.
        tokens: the tokens of each text, as ids in `distinct`.
        labels: the label of each text as in the file: a value, a list of values, or None if it is missing or the
            number of tags differs from that of the tokens. Spans are converted to IOB2 tags.
        declared_names: the label names by id, if the file declares them.
        unused: the number of rows that cannot be used, by reason.
    """

    distinct: DistinctTokens
    tokens: Ragged
    labels: list[Any]
    declared_names: list[str] | None
    unused: dict[str, int]


def read_new_text(path: Path, source: Source, tokenizer: Tokenizer) -> NewText:
    """Read a file with the columns of the dataset, where the column of labels is optional.

    Raises:
        ValueError: the file cannot be read, has no column of texts, or contains no usable text.
    """
    columns = _read_columns(path, source)
    if missing := [column for column in source.text_columns if column not in columns.column_names]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}, which contains the texts of {source.path}; it has the columns "
            f"{', '.join(columns.column_names)}"
        )
    if source.label_column not in columns.column_names:
        columns = columns.append_column(source.label_column, pa.nulls(len(columns)))
    elif "spans" in source.columns:
        kind = columns.schema.field(source.label_column).type
        if not {"start", "end", "label"} <= set(getattr(getattr(kind, "value_type", None), "names", [])):
            raise ValueError(
                f"{path}, column {source.label_column!r} contains {kind}; accepted: lists of start, end and label"
            )
    distinct = DistinctTokens()
    ids: list[np.ndarray] = []
    labels: list[Any] = []
    unused: Counter[str] = Counter()
    for *values, label in _rows(path, columns.select([*source.text_columns, source.label_column])):
        tokens = _tokens(values, tokenizer)
        if isinstance(tokens, str):
            unused[tokens] += 1
            continue
        if "spans" in source.columns:
            label = _span_tags(values[0], label, tokenizer)
        elif isinstance(values[0], list):
            label = label if isinstance(label, list) and len(label) == len(tokens) else None
            tokens = [piece for token in tokens for piece in tokenizer.pieces(token)]
        ids.append(distinct.ids(tokens))
        labels.append(label)
    if not ids:
        reasons = ", ".join(f"{count} {reason}" for reason, count in unused.most_common(5)) or "the file has no rows"
        raise ValueError(f"{path} contains no usable text in column {source.text_columns[0]!r}: {reasons}")
    declared = declared_names(columns.schema, source.label_column)
    return NewText(distinct, Ragged.from_sequences(ids, np.int32), labels, declared, dict(unused.most_common()))


def encode(text: NewText, data: PreparedData) -> EncodedSplit:
    """Encode texts with the vocabularies of the prepared data; the labels are placeholders."""
    sequences = shorten(text.tokens, data)
    table = TokenEncoder.of(data.schema).encode(text.distinct)
    placeholders = np.zeros(len(sequences.values), np.int64)  # long enough for any task
    return EncodedSplit(data.task, table, sequences, placeholders, np.arange(len(sequences)))


def shorten(sequences: Ragged, data: PreparedData, tag_names: list[str] | None = None) -> Ragged:
    """Shorten sequences of tokens, or of tags given by their position in `tag_names`, as those of train were."""
    if not data.description["splits"]["train"]["too_long"]:
        return sequences
    train = data.split("train")
    too_long: TooLong = "split" if (np.diff(train.rows) == 0).any() else "truncate"
    inside = np.array([name.startswith("I-") for name in tag_names or []])
    continues = None if tag_names is None else lambda i: inside[sequences[i]]
    rows, limit = np.arange(len(sequences)), int(train.lengths.max())
    texts, starts, lengths = short_parts(rows, sequences.lengths, limit, too_long, continues)
    return Ragged.gather(sequences.values, sequences.offsets[texts] + starts, lengths)


def _read_csv(path: Path, _: Source) -> pa.Table:
    return pa.Table.from_batches(csv_batches(path))


def _read_json(path: Path, _: Source) -> pa.Table:
    return pyarrow.json.read_json(path, read_options=pyarrow.json.ReadOptions(block_size=BLOCK))


def _read_arrow(path: Path, _: Source) -> pa.Table:
    """Read Arrow's file format, or its stream format, which `datasets` writes."""
    with pa.memory_map(str(path)) as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).read_all()


def _read_lines(path: Path, source: Source) -> pa.Table:
    """Only LF, CRLF and CR end a line, because a text may contain another line separator of Unicode."""
    with open_text(path) as file:
        return pa.table({source.text_columns[0]: pa.array((line.rstrip("\r\n") for line in file), pa.string())})


_READERS: dict[str, Callable[[Path, Source], pa.Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json,
    ".json": _read_json,
    ".parquet": lambda path, _: pq.read_table(path),
    ".arrow": _read_arrow,
    ".txt": _read_lines,
    "conll": lambda path, _: pa.table(read_conll(path)),
}


def _read_columns(path: Path, source: Source) -> pa.Table:
    if not path.is_file():
        raise ValueError(f"against={path}: no such file; accepted: {ACCEPTED}")
    kind = extension(path)
    if kind not in _READERS and source.format != "conll":
        raise ValueError(f"against={path}: unsupported file extension {path.suffix!r}; accepted: {ACCEPTED}")
    try:
        return _READERS[kind if kind in _READERS else "conll"](path, source)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"against={path} cannot be read as {path.suffix}: {cause}; accepted: {ACCEPTED}") from error


def _rows(path: Path, columns: pa.Table) -> Iterator[tuple[Any, ...]]:
    try:
        for batch in columns.to_batches(max_chunksize=ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} contains text that is not UTF-8: {error}") from error


def _tokens(values: list[Any], tokenizer: Tokenizer) -> list[str] | str:
    """The tokens of a text, a pair of texts or a list of tokens, or the reason why they cannot be used."""
    for value in values:
        if not value:
            return "missing text" if value is None else "empty text" if isinstance(value, str) else "no tokens"
    if all(isinstance(value, str) for value in values):
        return tokenizer.tokenize(*values) or "empty text"
    (value,) = values
    if not isinstance(value, list) or not all(isinstance(token, str) and token for token in value):
        return f"neither text nor tokens: {type(value).__name__}"
    return [tokenizer.normalize(token) for token in value]


def _span_tags(text: str, spans: list[dict[str, Any]] | None, tokenizer: Tokenizer) -> list[str] | None:
    """The IOB2 tags of a text; tokens that overlap a span belong to its entity."""
    if spans is None:
        return None
    offsets = tokenizer.offsets(text)
    tags = [OUTSIDE] * len(offsets)
    for span in spans:
        inside = [i for i, (start, end) in enumerate(offsets) if start < span["end"] and span["start"] < end]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{str(span['label']).strip()}"
    return tags

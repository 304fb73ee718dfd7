"""New text, as a person has it: a file with the dataset's own columns, or with a text a line."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from unroll.data.download.column_files import read_conll
from unroll.data.encoding import DistinctTokens
from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer

ACCEPTED = ".csv, .jsonl (JSON lines), .parquet, .arrow, or .txt with a text a line"
BLOCK = 1 << 24  # bytes: no line of a file may be longer
ROWS = 1000  # that are Python objects at a time


@dataclass(frozen=True)
class NewText:
    """The usable texts of a file as ragged arrays: text i is `tokens[offsets[i]:offsets[i + 1]]`.

    Attributes:
        distinct: number k, from 1, is its token k − 1.
        tokens: (M,) numbers of `distinct`.
        offsets: (N + 1,).
        labels: of each text, as the file has them: a value, a list of them, or None where there is none, or not a tag
            for each token. Spans have become IOB2 tags. None where the file has no such column.
        declared_names: of the labels' numbers, where the file itself declares them.
        unused: rows by the reason why they cannot be used.
    """

    distinct: DistinctTokens
    tokens: np.ndarray
    offsets: np.ndarray
    labels: list[Any] | None
    declared_names: list[str] | None
    unused: dict[str, int]


def read_new_text(path: Path, source: Source, tokenizer: Tokenizer) -> NewText:
    """Read a file whose columns are called as those of the dataset; that of the labels may be missing.

    Raises:
        ValueError: the file is not there or cannot be read, lacks the text column, or has no usable text.
    """
    columns = _read_columns(path, source)
    for column in source.text_columns:
        if column in columns.column_names:
            continue
        raise ValueError(
            f"{path} has no column {column!r}, where {source.path} has its texts; it has the columns "
            f"{', '.join(columns.column_names)}"
        )
    has_labels = source.label_column in columns.column_names
    if has_labels and "spans" in source.columns:
        _check_spans(path, columns.schema.field(source.label_column))
    distinct = DistinctTokens()
    ids: list[np.ndarray] = []
    labels: list[Any] = []
    unused: Counter[str] = Counter()
    for *values, label in _rows(path, columns, source, has_labels):
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
        reasons = ", ".join(f"{count} {reason}" for reason, count in unused.most_common(5)) or "it has no rows"
        raise ValueError(f"{path} has no usable text in column {source.text_column!r}: {reasons}")
    return NewText(
        distinct=distinct,
        tokens=np.concatenate(ids),
        offsets=np.cumsum([0, *map(len, ids)]),
        labels=labels if has_labels else None,
        declared_names=_declared_names(columns.schema, source.label_column) if has_labels else None,
        unused=dict(unused.most_common()),
    )


def _read_columns(path: Path, source: Source) -> pa.Table:
    readers: dict[str, Callable[[Path, Source], pa.Table]] = {
        ".csv": _read_csv,
        ".jsonl": _read_json,
        ".json": _read_json,
        ".parquet": lambda path, _: pq.read_table(path),
        ".arrow": _read_arrow,
        ".txt": _read_lines,
    }
    if not path.is_file():
        raise ValueError(f"against={path}: no such file; accepted: {ACCEPTED}")
    read = readers.get(path.suffix.lower(), _read_conll if source.format == "conll" else None)
    if read is None:
        raise ValueError(f"against={path}: the ending {path.suffix!r} is not known; accepted: {ACCEPTED}")
    try:
        return read(path, source)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"against={path} cannot be read as {path.suffix}: {cause}; accepted: {ACCEPTED}") from error


def _read_csv(path: Path, source: Source) -> pa.Table:
    """Texts and labels are strings, whatever they look like."""
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={column: pa.string() for column in (*source.text_columns, source.label_column)}
        ),
    )


def _read_json(path: Path, _: Source) -> pa.Table:
    return pyarrow.json.read_json(path, read_options=pyarrow.json.ReadOptions(block_size=BLOCK))


def _read_arrow(path: Path, _: Source) -> pa.Table:
    """Arrow has two formats: for files, and the stream that `datasets` writes."""
    with pa.memory_map(str(path)) as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).read_all()


def _read_lines(path: Path, source: Source) -> pa.Table:
    """Split at line feeds alone: a text may hold what Unicode counts as the end of a line."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        return pa.table({source.text_column: pa.array((line.rstrip("\r\n") for line in file), pa.string())})


def _read_conll(path: Path, _: Source) -> pa.Table:
    return pa.table(read_conll(path))


def _rows(path: Path, columns: pa.Table, source: Source, has_labels: bool) -> Iterator[tuple[Any, ...]]:
    """The text, the two texts of a pair or the tokens; and the label or None."""
    try:
        for batch in columns.to_batches(max_chunksize=ROWS):
            texts = [batch[column].to_pylist() for column in source.text_columns]
            labels = batch[source.label_column].to_pylist() if has_labels else [None] * len(batch)
            yield from zip(*texts, labels, strict=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} has text that is not UTF-8: {error}") from error


def _tokens(values: list[Any], tokenizer: Tokenizer) -> list[str] | str:
    """The tokens of a text or a pair, or of a list of tokens; or the reason why there are none."""
    for value in values:
        if not value:
            return "missing text" if value is None else "empty text" if isinstance(value, str) else "no tokens"
    if all(isinstance(value, str) for value in values):
        return tokenizer.tokenize(*values) or "empty text"
    (value,) = values
    if not isinstance(value, list) or not all(isinstance(token, str) and token for token in value):
        return f"neither text nor tokens: {type(value).__name__}"
    return [tokenizer.normalize(token) for token in value]


def _check_spans(path: Path, column: pa.Field) -> None:
    inner = getattr(column.type, "value_type", None)
    keys = {field.name for field in inner} if inner is not None and pa.types.is_struct(inner) else set()
    if not {"start", "end", "label"} <= keys:
        raise ValueError(f"{path}, column {column.name!r} holds {column.type}; accepted: lists of start, end and label")


def _span_tags(text: str, spans: list[dict[str, Any]] | None, tokenizer: Tokenizer) -> list[str] | None:
    """Each token that a span touches is of its entity."""
    if spans is None:
        return None
    places = tokenizer.places(text)
    tags = ["O"] * len(places)
    for span in spans:
        inside = [i for i, (start, end) in enumerate(places) if start < span["end"] and span["start"] < end]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{span['label']}"
    return tags


def _declared_names(schema: pa.Schema, column: str) -> list[str] | None:
    """The names of a ClassLabel column, or of lists of ClassLabels, in a file that `datasets` wrote."""
    if b"huggingface" not in (schema.metadata or {}):
        return None
    from datasets import Features

    feature = Features.from_arrow_schema(schema)[column]
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names

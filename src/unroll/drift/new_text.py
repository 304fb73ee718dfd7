"""Reads and encodes a file of new text, with the columns of a dataset or with one text per line."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from unroll.data.download.files import EXTENSIONS, read_files
from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.prepare.lengths import TooLong, short_parts
from unroll.data.prepare.rows import checked_tokens
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.raw import declared_names, plain_values
from unroll.data.source import Source
from unroll.data.spans import SpanEdges, tag_spans
from unroll.data.text_files import extension, open_text
from unroll.data.tokenizer import Tokenizer
from unroll.files import reason

ACCEPTED = f"{', '.join(EXTENSIONS)}, or .txt with one text per line"
ROWS = 1000  # number of rows that are converted to Python objects at a time


@dataclass(frozen=True)
class NewText:
    """The usable texts of a file.

    Args:
        distinct: the distinct tokens.
        tokens: the tokens of each text, as ids in `distinct`.
        labels: the label of each text as in the file: a value, a list of values, or None if it is missing, or if tags
            or spans do not fit the text. Tags are those of words; spans are converted to IOB2 tags.
        pieces: the number of tokens of each word of each text, None if words are not divided into subwords.
        declared_names: the label names by id, if the file declares them.
        unused: the number of rows that cannot be used, by reason.
    """

    distinct: DistinctTokens
    tokens: Ragged
    labels: list[Any]
    pieces: list[list[int] | None]
    declared_names: list[str] | None
    unused: dict[str, int]


def read_new_text(path: Path, source: Source, tokenizer: Tokenizer, span_edges: SpanEdges = "cut") -> NewText:
    """Read a file with the columns of the dataset, where the column of labels is optional.

    Raises:
        ValueError: the file cannot be read, has no column of texts, or contains no usable text or no usable spans.
    """
    columns = _read_columns(path, source)
    if missing := [column for column in source.text_columns if column not in columns.column_names]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}, which contains the texts of {source.path}; it has the columns "
            f"{', '.join(columns.column_names)}"
        )
    if source.label_column not in columns.column_names:
        columns = columns.append_column(source.label_column, pa.nulls(len(columns)))
    read = _Reader(source, Tokenizer(tokenizer.options), span_edges)
    distinct = DistinctTokens()
    ids: list[np.ndarray] = []
    labels: list[Any] = []
    pieces: list[list[int] | None] = []
    unused: Counter[str] = Counter()
    for *values, label in _rows(path, columns.select([*source.text_columns, source.label_column]), source):
        try:
            words, label = read(values, label)
        except ValueError as reason:
            unused[str(reason)] += 1
        else:
            found = None if tokenizer.subwords is None else [tokenizer.pieces(word) for word in words]
            ids.append(distinct.ids(words if found is None else [piece for of_word in found for piece in of_word]))
            labels.append(label)
            pieces.append(None if found is None else [len(of_word) for of_word in found])
    if not ids:
        reasons = ", ".join(f"{count} {reason}" for reason, count in unused.most_common(5)) or "the file has no rows"
        raise ValueError(f"{path} contains no usable text in column {source.text_columns[0]!r}: {reasons}")
    if read.bad_spans and not read.good_spans:
        raise ValueError(
            f"{path}, column {source.label_column!r} contains no usable spans: {read.bad_spans.most_common(1)[0][0]}; "
            "accepted: lists of start, end and label"
        )
    declared = declared_names(columns.schema, source.label_column)
    tokens = Ragged.from_sequences(ids, np.int32)
    return NewText(distinct, tokens, labels, pieces, declared, dict(unused.most_common()))


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


def _read_columns(path: Path, source: Source) -> pa.Table:
    """Read a file as the download stage does, or one text per line."""
    if not path.is_file():
        raise ValueError(f"against={path}: no such file; accepted: {ACCEPTED}")
    kind = extension(path)
    # The column files of a dataset may be called .txt too.
    own = {extension(split) for split in source.splits.values() if split}
    is_conll = source.format == "conll" and (kind in own or kind not in (".txt", *EXTENSIONS))
    if not is_conll and kind not in (".txt", *EXTENSIONS):
        raise ValueError(f"against={path}: unsupported file extension {path.suffix!r}; accepted: {ACCEPTED}")
    if not is_conll and kind == ".txt":
        return _read_lines(path, source)
    with TemporaryDirectory() as cache:
        rows = read_files([path], source.lists_by_column, is_conll, cache)
        return rows.data.table.replace_schema_metadata(rows.features.arrow_schema.metadata)


def _read_lines(path: Path, source: Source) -> pa.Table:
    """Only LF, CRLF and CR end a line, because a text may contain another line separator of Unicode."""
    with open_text(path) as file:
        return pa.table({source.text_columns[0]: pa.array((line.rstrip("\r\n") for line in file), pa.string())})


def _rows(path: Path, columns: pa.Table, source: Source) -> Iterator[tuple[Any, ...]]:
    try:
        for batch in columns.to_batches(max_chunksize=ROWS):
            values = (plain_values(batch[name], name in source.list_columns) for name in batch.column_names)
            yield from zip(*values, strict=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} contains text that is not UTF-8: {reason(error)}") from error


class _Reader:
    """Converts rows into words and their labels, and counts rows with usable and unusable spans."""

    def __init__(self, source: Source, tokenizer: Tokenizer, span_edges: SpanEdges) -> None:
        self._has_spans, self._has_tags = "spans" in source.columns, source.task == "labeling"
        self._tokenizer, self._span_edges = tokenizer, span_edges
        self.good_spans, self.bad_spans = 0, Counter[str]()

    def __call__(self, values: list[Any], label: Any) -> tuple[list[str], Any]:
        """Read a text, a pair of texts or a list of tokens; a ValueError says why they cannot be used."""
        if None in values:
            raise ValueError("missing text")
        if all(isinstance(value, str) for value in values):
            return self._read_text(values, label)
        if len(values) > 1:
            raise ValueError("a pair is not two texts")
        (given,) = values
        if not isinstance(given, list):
            raise ValueError(f"neither text nor tokens: {type(given).__name__}")
        tokens = checked_tokens(given, self._tokenizer)
        fits = not self._has_tags or (not self._has_spans and isinstance(label, list) and len(label) == len(tokens))
        return tokens, label if fits else None

    def _read_text(self, texts: list[str], label: Any) -> tuple[list[str], Any]:
        words = self._tokenizer.tokenize(*texts)
        if not words:
            raise ValueError("empty text")
        if not self._has_tags:
            return words, label
        if self._has_spans and label is not None:
            try:
                offsets, tags, _ = tag_spans(texts[0], label, self._tokenizer.offsets(texts[0]), self._span_edges)
            except ValueError as reason:
                self.bad_spans[str(reason)] += 1
            else:
                self.good_spans += 1
                return [self._tokenizer.normalize(texts[0][start:end]) for start, end in offsets], tags
        return words, None  # tags of given tokens are not those of a text

"""Raw rows, one by one: checked, tokenised, their labels turned into numbers; or quarantined with the reason."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.prepare.labels import BadRow, Labels
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE
from unroll.data.tokenizer import Tokenizer


class RowReader:
    """Turns the raw rows of a dataset into tokens and the numbers of their labels."""

    def __init__(self, source: Source, labels: Labels, tokenizer: Tokenizer) -> None:
        self.source = source
        self.labels = labels
        self.tokenizer = tokenizer

    def read(self, values: dict[str, Any] | None) -> tuple[list[str], list[int]]:
        """A row under our names of the columns, as `raw_rows` gives it.

        Raises:
            BadRow: it cannot be used.
        """
        if values is None:
            raise BadRow("broken encoding: not UTF-8")
        return _READERS[tuple(sorted(values))](self, values)

    def _read_text(self, values: dict[str, Any]) -> tuple[list[str], list[int]]:
        """A text or a pair, with a label or several."""
        *texts, label = (values[name] for name in ("text", "text_pair", "label", "labels") if name in values)
        return self._tokenize(*texts), self.labels.ids(label)

    def _tokenize(self, *texts: Any) -> list[str]:
        for text in texts:
            if not isinstance(text, str):
                raise BadRow("missing text" if text is None else f"text is not a string but {type(text).__name__}")
        tokens = self.tokenizer.tokenize(*texts)
        if not tokens:
            raise BadRow("empty text")
        return tokens

    def _read_tokens(self, values: dict[str, Any]) -> tuple[list[str], list[int]]:
        tokens, tags = values["tokens"], values["labels"]
        if not tokens:
            raise BadRow("no tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise BadRow("tokens are not all non-empty strings")
        if not isinstance(tags, list):
            raise BadRow("missing labels")
        if len(tokens) != len(tags):
            raise BadRow("tokens and labels differ in number")
        return [self.tokenizer.normalize(token) for token in tokens], self.labels.ids(tags)

    def _read_spans(self, values: dict[str, Any]) -> tuple[list[str], list[int]]:
        """Entities as characters of the text become tags of its tokens."""
        tokens, spans = self._tokenize(values["text"]), values["spans"]
        if spans is None:
            raise BadRow("missing spans")
        places = self.tokenizer.places(values["text"])
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
        return tokens, self.labels.ids(tags)


_Read = Callable[[RowReader, dict[str, Any]], tuple[list[str], list[int]]]
_READERS: dict[tuple[str, ...], _Read] = {  # by our names of the columns
    ("label", "text"): RowReader._read_text,
    ("label", "text", "text_pair"): RowReader._read_text,
    ("labels", "text"): RowReader._read_text,
    ("labels", "text", "text_pair"): RowReader._read_text,
    ("labels", "tokens"): RowReader._read_tokens,
    ("spans", "text"): RowReader._read_spans,
}


def check_columns(path: Path, source: Source) -> None:
    """Raise ValueError where a raw split lacks a column that the dataset names."""
    found = pq.read_schema(path).names
    for ours, theirs in source.columns.items():
        if theirs not in found:
            raise ValueError(f"dataset.columns.{ours}={theirs!r}: {path} has no such column; it has {', '.join(found)}")


def group_starts(path: Path) -> list[int]:
    """The first row of each row group of a raw split, and at the end the number of rows."""
    metadata = pq.read_metadata(path)
    starts = [0]
    for group in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return starts


def raw_rows(path: Path, source: Source, group: int) -> Iterator[dict[str, Any] | None]:
    """The rows of a row group under our names of the columns; None for one that is not UTF-8."""
    columns = list(dict.fromkeys(source.columns.values()))
    for batch in pq.ParquetFile(path).iter_batches(1000, row_groups=[group], columns=columns):
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

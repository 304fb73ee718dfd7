"""Checks and tokenizes raw rows one by one; rows that cannot be used are quarantined with the reason."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.prepare.labels import BadRow, Labels
from unroll.data.prepare.split_rows import SplitRows
from unroll.data.raw import group_starts, raw_rows
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE
from unroll.data.tokenizer import Tokenizer

_TEXT = pa.string()
_QUARANTINE = pa.schema([("split", _TEXT), ("row", pa.int64()), ("reason", _TEXT), ("content", _TEXT)])


class RowReader:
    """Converts the raw rows of a dataset into tokens and label ids."""

    def __init__(self, source: Source, labels: Labels, tokenizer: Tokenizer) -> None:
        self.source = source
        self.labels = labels
        self.tokenizer = tokenizer

    def read(self, values: dict[str, Any] | None) -> tuple[list[str], list[int]]:
        """The tokens and label ids of a row, given as `raw_rows` yields it.

        Raises:
            BadRow: the row cannot be used.
        """
        if values is None:
            raise BadRow("broken encoding: not UTF-8")
        if "spans" in values:
            return self._read_spans(values["text"], values["spans"])
        if "tokens" in values:
            return self._read_tokens(values["tokens"], values["labels"])
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

    def _read_tokens(self, tokens: Any, tags: Any) -> tuple[list[str], list[int]]:
        if not tokens:
            raise BadRow("no tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise BadRow("tokens are not all non-empty strings")
        if not isinstance(tags, list):
            raise BadRow("missing labels")
        if len(tokens) != len(tags):
            raise BadRow("tokens and labels differ in number")
        return [self.tokenizer.normalize(token) for token in tokens], self.labels.ids(tags)

    def _read_spans(self, text: Any, spans: Any) -> tuple[list[str], list[int]]:
        """A text with entities given in characters, which are converted to tags of its tokens."""
        tokens = self._tokenize(text)
        if spans is None:
            raise BadRow("missing spans")
        offsets = self.tokenizer.offsets(text)
        starts = {start: i for i, (start, _) in enumerate(offsets)}
        ends = {end: i + 1 for i, (_, end) in enumerate(offsets)}
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


def write_quarantine(raw: Path, source: Source, splits: dict[str, SplitRows], path: Path) -> None:
    """Write the quarantined rows as parquet.

    The columns are `split`, `row`, `reason` and `content`, the raw row as JSON or null if it is not UTF-8.
    """
    with pq.ParquetWriter(path, _QUARANTINE) as file:
        for split, rows in splits.items():
            reasons, raw_split = dict(rows.quarantined), raw / f"{split}.parquet"
            starts = group_starts(raw_split) if reasons else []
            for group, (start, end) in enumerate(pairwise(starts)):
                if reasons.keys().isdisjoint(range(start, end)):
                    continue
                entries = [
                    {"split": split, "row": row, "reason": reasons[row], "content": _as_json(values)}
                    for row, values in enumerate(raw_rows(raw_split, source, group), start)
                    if row in reasons
                ]
                file.write_table(pa.Table.from_pylist(entries, _QUARANTINE))


def _as_json(values: dict[str, Any] | None) -> str | None:
    return None if values is None else json.dumps(values, ensure_ascii=False, default=str)

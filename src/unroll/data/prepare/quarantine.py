"""The rows that are not used, as they came, each with its reason."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.prepare.rows import group_starts, raw_rows
from unroll.data.prepare.split_rows import SplitRows
from unroll.data.source import Source

_SCHEMA = pa.schema([("split", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("content", pa.string())])


def write_quarantine(raw: Path, source: Source, splits: dict[str, SplitRows], path: Path) -> None:
    """Write a row for each; `content` is the raw row as JSON, null where its encoding is broken."""
    with pq.ParquetWriter(path, _SCHEMA) as file:
        for split, rows in splits.items():
            if rows.quarantined:
                for entries in _entries(raw / f"{split}.parquet", source, split, dict(rows.quarantined)):
                    file.write_table(pa.Table.from_pylist(entries, _SCHEMA))


def _entries(path: Path, source: Source, split: str, reasons: dict[int, str]) -> Iterator[list[dict[str, Any]]]:
    """Those of each row group that has any."""
    for group, (start, end) in enumerate(pairwise(group_starts(path))):
        if reasons.keys().isdisjoint(range(start, end)):
            continue
        yield [
            {
                "split": split,
                "row": row,
                "reason": reasons[row],
                "content": None if values is None else json.dumps(values, ensure_ascii=False, default=str),
            }
            for row, values in enumerate(raw_rows(path, source, group), start)
            if row in reasons
        ]

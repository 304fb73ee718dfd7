"""The rows that are not used, as they came, each with its reason."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.rows import SplitRows, raw_rows
from unroll.data.source import Source

_SCHEMA = pa.schema([("split", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("content", pa.string())])


def write_quarantine(raw: Path, source: Source, splits: dict[str, SplitRows], path: Path) -> None:
    """Write a row for each; `content` is the raw row as JSON, null where its encoding is broken."""
    entries = []
    for split, rows in splits.items():
        reasons = dict(rows.quarantined)
        if not reasons:
            continue
        for row, values in enumerate(raw_rows(raw / f"{split}.parquet", source)):
            if row in reasons:
                content = None if values is None else json.dumps(values, ensure_ascii=False, default=str)
                entries.append({"split": split, "row": row, "reason": reasons[row], "content": content})
    pq.write_table(pa.Table.from_pylist(entries, _SCHEMA), path)

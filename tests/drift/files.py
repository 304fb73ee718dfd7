"""Writes files of new text in all formats."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.source import Source

REVIEWS = Source("classification", "acme/reviews", {"text": "body", "label": "stars"})
NEWS = Source("labeling", "acme/news", {"tokens": "words", "labels": "tags"})
SPANS = Source("labeling", "acme/spans", {"text": "text", "spans": "entities"})
TOPICS = Source("multilabel", "acme/topics", {"text": "body", "labels": "topics"})

Columns = dict[str, list[Any]]


def write(path: Path, columns: Columns) -> Path:
    """Write `columns` in the format given by the extension of `path`."""
    table = pa.table(columns)
    rows = table.to_pylist()
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix in (".json", ".jsonl"):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        text = next(iter(columns.values()))
        path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    return path

"""Joins the parts into one file, if one was asked for."""

import base64
import csv
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.files import whole_file
from unroll.inference.scoring.part import read_part

FILES = (".parquet", ".csv", ".jsonl")  # extensions of an output that is one file
NOT_WRITTEN = (".tsv", ".json", ".xlsx", ".xls", ".txt", ".gz", ".arrow", ".feather", ".db")  # not meant as a folder


def is_one_file(output: Path) -> bool:
    """Whether the name is that of a file; any other is that of a folder of parts."""
    return output.suffix.lower() in FILES


def join(parts: Iterable[Path], schema: pa.Schema, output: Path) -> None:
    """Write the rows of all parts, in their order, in the format that the file's name says, in constant memory."""
    tables = (table for part in parts for table in read_part(part))
    with whole_file(output) as temporary:
        if output.suffix.lower() == ".parquet":
            with pq.ParquetWriter(temporary, schema) as writer:
                for table in tables:
                    writer.write_table(table)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                if output.suffix.lower() == ".jsonl":
                    file.writelines(_line(row) for row in _rows(tables, schema))
                else:
                    rows = csv.writer(file)
                    rows.writerow(schema.names)
                    rows.writerows(map(_cell, row.values()) for row in _rows(tables, schema))


def _rows(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """Rows as Python values."""
    embedded = [name for name in schema.names if schema.field(name).type == pa.json_()]
    for table in tables:
        for row in table.to_pylist():
            for name in embedded:
                row[name] = row[name] and json.loads(row[name])
            yield row


def _line(row: dict[str, Any]) -> str:
    return json.dumps(_plain(row), ensure_ascii=False, default=_text) + "\n"


def _cell(value: Any) -> Any:
    """A cell of CSV; lists and objects are JSON."""
    if isinstance(value, list | dict):
        return json.dumps(_plain(value), ensure_ascii=False, default=_text)
    return _text(value) if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    """The value with null for what JSON has no number for: NaN and the infinite."""
    if isinstance(value, dict):
        return {name: _plain(it) for name, it in value.items()}
    if isinstance(value, list):
        return [_plain(it) for it in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    """Dates, decimals and others as Python writes them; bytes in base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)

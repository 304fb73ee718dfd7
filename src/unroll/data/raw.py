"""Reads the files written by the download stage: parquet splits and a manifest."""

import json
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer
from unroll.files import read_json


def read_manifest(raw: Path, source: Source) -> dict[str, Any]:
    """Read manifest.json, and check that every split has the columns of `source`.

    Raises:
        ValueError: `raw` contains no downloaded data, or a column is missing.
    """
    if not (raw / "manifest.json").exists():
        raise _no_data(raw)
    manifest: dict[str, Any] = read_json(raw / "manifest.json")
    for split in manifest["splits"]:
        path = raw / f"{split}.parquet"
        found = pq.read_schema(path).names
        for role, column in source.columns.items():
            if column not in found:
                raise ValueError(
                    f"dataset.columns.{role}={column!r}: {path} has no such column; accepted: {', '.join(found)}"
                )
    return manifest


def declared_names(schema: pa.Schema, column: str) -> list[str] | None:
    """The label names that `datasets` wrote into a schema: those of a ClassLabel, or of a list of ClassLabels."""
    written = (schema.metadata or {}).get(b"huggingface", b"{}")
    feature = json.loads(written).get("info", {}).get("features", {}).get(column, {})
    feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
    names: list[str] | None = feature.get("names")
    return names


def group_starts(path: Path) -> list[int]:
    """The first row of each row group of a split, followed by the number of rows."""
    metadata = pq.read_metadata(path)
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


def raw_rows(path: Path, source: Source, group: int) -> Iterator[dict[str, Any] | None]:
    """The rows of a row group, as values by the role of their column; None for a row that is not UTF-8."""
    columns = list(dict.fromkeys(source.columns.values()))
    for batch in pq.ParquetFile(path).iter_batches(1000, row_groups=[group], columns=columns):
        for row in _decoded(batch):
            yield row and {role: row[column] for role, column in source.columns.items()}


def sample_texts(raw: Path, source: Source, count: int = 3) -> list[str] | list[list[str]]:
    """The first non-empty training texts, or pairs of texts; the tokens of a labeling dataset are joined by spaces.

    Raises:
        ValueError: `raw` contains no downloaded data.
    """
    path = raw / "train.parquet"
    if not path.exists():
        raise _no_data(raw)
    batch = next(pq.ParquetFile(path).iter_batches(100, columns=source.text_columns))
    columns = [[_as_text(value) for value in batch[column].to_pylist()] for column in source.text_columns]
    texts = [list(row) for row in zip(*columns, strict=True) if Tokenizer().tokenize(*row)][:count]
    return texts if source.is_pair else [text for (text,) in texts]


def _no_data(raw: Path) -> ValueError:
    return ValueError(f"{raw} contains no downloaded data; run first: python pipelines/download.py dataset={raw.name}")


def _decoded(batch: pa.RecordBatch) -> list[dict[str, Any] | None]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        return [None] if len(batch) == 1 else [row for i in range(len(batch)) for row in _decoded(batch.slice(i, 1))]


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value) if all(isinstance(token, str) for token in value) else ""
    return value if isinstance(value, str) else ""

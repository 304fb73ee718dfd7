"""Reads the files written by the download stage: parquet splits and a manifest."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer
from unroll.files import check_files, read_json, reading, sha256
from unroll.project import writing_command

SOURCE = ("path", "name", "revision", "commit")  # of the manifest: what prepared data keep of it


def read_manifest(raw: Path, source: Source) -> dict[str, Any]:
    """Read manifest.json, and check that every split is what it describes, and has the columns of `source`.

    Raises:
        ValueError: `raw` contains no downloaded data or damaged files, or a column is missing.
    """
    if not (raw / "manifest.json").exists():
        raise _no_data(raw)
    check_raw(raw)
    with reading(raw / "manifest.json", _remedy(raw)):
        manifest: dict[str, Any] = read_json(raw / "manifest.json", ("splits", "label_names", *SOURCE))
        checksums = {split: facts.get("sha256") for split, facts in manifest["splits"].items()}
    for split, checksum in checksums.items():
        path = raw / f"{split}.parquet"
        if not path.is_file():
            raise ValueError(f"{raw} is damaged: {path.name} is missing; {_remedy(raw)}")
        with reading(path, _remedy(raw)):
            if checksum not in (None, sha256(path)):
                raise ValueError("its checksum has changed")
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
    return feature.get("names")


def check_raw(raw: Path, files: Sequence[str] | None = None) -> None:
    """Raise ValueError if these of the files of the download stage, or any, are not what was written."""
    check_files(raw, _remedy(raw), files)


def group_starts(path: Path) -> list[int]:
    """The first row of each row group of a split, followed by the number of rows."""
    metadata = pq.read_metadata(path)
    return [0, *accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))]


def raw_rows(path: Path, source: Source, group: int) -> Iterator[dict[str, Any] | None]:
    """The rows of a row group, as values by the role of their column; None for a row that is not UTF-8."""
    columns = list(dict.fromkeys(source.columns.values()))
    for batch in pq.ParquetFile(path).iter_batches(1000, row_groups=[group], columns=columns):
        for row in _decoded(batch, source.list_columns):
            yield row and {role: row[column] for role, column in source.columns.items()}


def sample_texts(raw: Path, source: Source, count: int = 3) -> list[str] | list[list[str]]:
    """The first usable training texts, pairs of texts, or lists of tokens.

    Raises:
        ValueError: `raw` contains no downloaded data.
    """
    path = raw / "train.parquet"
    if not path.exists():
        raise _no_data(raw)
    check_raw(raw, [path.name])
    batch = next(pq.ParquetFile(path).iter_batches(100, columns=source.text_columns))
    columns = (plain_values(batch[column], column in source.list_columns) for column in source.text_columns)
    rows = zip(*columns, strict=True)
    if "tokens" in source.columns:
        lists = [it for (it,) in rows if it and isinstance(it, list)]
        return [it for it in lists if all(isinstance(token, str) and token for token in it)][:count]
    texts = [list(row) for row in rows if all(isinstance(it, str) for it in row) and Tokenizer().tokenize(*row)][:count]
    return texts if source.is_pair else [text for (text,) in texts]


def _no_data(raw: Path) -> ValueError:
    return ValueError(f"{raw} contains no downloaded data; run first: {_command(raw)}")


def _command(raw: Path) -> str:
    return writing_command("download", raw, "data/raw")


def plain_values(array: pa.Array, is_list: bool = False) -> list[Any]:
    """Python values; those of Arrow's JSON type, which `datasets` writes for lists of mixed types, are read.

    So are texts with a list as JSON, as in a CSV file, if `is_list`.
    """
    values: list[Any] = array.to_pylist()
    if "arrow.json" in str(array.type):
        return [_from_json(value, array.type) for value in values]
    return [_list_from_json(value) for value in values] if is_list else values


def _list_from_json(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(json.JSONDecodeError):
            return json.loads(value)
    return value


def _from_json(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, str) and isinstance(kind, pa.JsonType):
        return json.loads(value)
    if isinstance(value, list):
        return [_from_json(it, kind.value_type) for it in value]
    if isinstance(value, dict):
        return {name: _from_json(it, kind.field(name).type) for name, it in value.items()}
    return value


def _remedy(raw: Path) -> str:
    return f"recreate it with {_command(raw)}"


def _decoded(batch: pa.RecordBatch, lists: set[str]) -> list[dict[str, Any] | None]:
    try:
        columns = [plain_values(batch[name], name in lists) for name in batch.column_names]
        return [dict(zip(batch.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
    except UnicodeDecodeError:
        if len(batch) == 1:
            return [None]
        return [row for i in range(len(batch)) for row in _decoded(batch.slice(i, 1), lists)]

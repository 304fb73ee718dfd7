"""Finds and reads local files of a dataset."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from glob import has_magic
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from unroll.data.csv_rows import Row, open_table
from unroll.data.download.column_files import read_conll
from unroll.data.download.json_files import json_dataset
from unroll.data.text_files import TABLES, extension, open_text

CSV_ROWS = 10_000  # of a batch
JSON = (".json", ".jsonl")
_BUILDERS = {".parquet": "parquet", ".arrow": "arrow"}
EXTENSIONS = (*TABLES, *JSON, *_BUILDERS)


def names_files(split: str) -> bool:
    """Whether the name of a split is a file name or a glob."""
    return has_magic(split) or extension(split) in EXTENSIONS


def base_folder(pattern: str) -> tuple[Path, str]:
    """Divide a path before its first part with a wildcard, or, without wildcards, before the file name."""
    parts = Path(pattern).parts
    count = next((i for i, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    return Path(*parts[:count]), str(Path(*parts[count:]))


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The sorted files in `folder` that match a relative file name or glob; none for other patterns."""
    if not pattern or Path(pattern).is_absolute():
        return []
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def read_files(files: list[Path], columns: Mapping[str, bool], is_conll: bool, cache: str) -> Any:
    """Read and concatenate files of one format as a `datasets.Dataset`.

    Args:
        columns: the columns of the dataset, and whether a value of theirs is a list.
        is_conll: whether they are column files.
        cache: a folder for temporary files.

    Raises:
        ValueError: a file cannot be read, or the files differ in format or columns.
    """
    if is_conll:
        return _read_column_files(files)
    extensions = sorted({extension(file) for file in files})
    if len(extensions) > 1 or extensions[0] not in EXTENSIONS:
        raise ValueError(
            f"{files[0]}{', …' if len(files) > 1 else ''}: file extension {' and '.join(map(repr, extensions))}; "
            f"accepted: one of {', '.join(EXTENSIONS)} for all files of a split, also followed by .gz"
        )
    if extensions[0] in TABLES:
        return _read_tables(files, cache)
    if extensions[0] in JSON:
        return json_dataset(files, cache, columns)
    try:
        return _read_others(files, cache)
    except ValueError as error:
        expected = _columns(files[0], cache) if len(files) > 1 else []
        for file in files[1:]:
            present = _columns(file, cache)
            if present and expected and present != expected:
                raise ValueError(f"{file} has the columns {present}; accepted: {expected}, as in {files[0]}") from error
        shown = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        raise ValueError(f"{shown} cannot be read as {extensions[0]}: {error}") from error


def load_folder(folder: Path, name: str | None, columns: Mapping[str, bool], cache: str) -> dict[str, Any]:
    """Load the splits of a folder in the Hub's layout, of the configuration `name`; the rest is as in `read_files`.

    CSV and JSON files are read by `csv_batches` and `json_dataset`, unless the folder's README.md declares other
    options than the separator of the former.

    Raises:
        ValueError: the folder cannot be loaded as a dataset.
    """
    from datasets import load_dataset, load_dataset_builder
    from datasets.packaged_modules.csv.csv import CsvConfig
    from datasets.packaged_modules.json.json import JsonConfig

    with _errors_in_one_line():
        builder = load_dataset_builder(str(folder), name=name, cache_dir=cache)
        config = builder.config
        read: Callable[[list[Path], str], Any] | None = None
        if isinstance(config, CsvConfig) and config.pd_read_csv_kwargs == CsvConfig(sep=config.sep).pd_read_csv_kwargs:
            read = partial(_read_tables, separator=None if config.sep == "," else config.sep)
        elif isinstance(config, JsonConfig) and (config.field, config.encoding) == (None, "utf-8"):
            read = partial(json_dataset, columns=columns)
        if read is None:
            return load_dataset(str(folder), name=name, cache_dir=cache)
        splits = {str(split): read([Path(file) for file in files], cache) for split, files in config.data_files.items()}
        features = builder.info.features
        return {split: rows.cast(features) if features else rows for split, rows in splits.items()}


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn the errors of `datasets`, which are not printed, into a ValueError with their cause."""
    from datasets import disable_progress_bars
    from datasets.exceptions import DatasetsError
    from yaml import YAMLError

    disable_progress_bars()
    logging.getLogger("datasets.packaged_modules").setLevel(logging.CRITICAL)
    try:
        yield
    except StopIteration as error:
        raise ValueError("it contains no rows") from error
    except (DatasetsError, OSError, RuntimeError, ValueError, YAMLError) as error:
        cause = " ".join(f"{error.__cause__ or error}".split())
        raise ValueError("it contains no rows" if "corresponds to no data" in cause else cause) from error


def _read_column_files(files: list[Path]) -> Any:
    from datasets import Dataset

    first, *others = (read_conll(file) for file in files)
    for file, columns in zip(files[1:], others, strict=True):
        if columns.keys() != first.keys():
            raise ValueError(f"{file} has {len(columns)} columns; accepted: {len(first)}, as in {files[0]}")
    return Dataset.from_dict({name: [row for part in (first, *others) for row in part[name]] for name in first})


def _read_tables(files: list[Path], cache: str, separator: str | None = None) -> Any:
    """Read CSV or TSV files as a memory-mapped `datasets.Dataset`."""
    from datasets import Dataset

    batches = ((file, batch) for file in files for batch in csv_batches(file, separator))
    file, batch = next(batches)
    names, path = batch.schema.names, tempfile.mkstemp(".arrow", dir=cache)[1]
    with pa.ipc.new_stream(path, batch.schema) as stream:
        stream.write(batch)
        for file, batch in batches:
            if set(batch.schema.names) != set(names):
                raise ValueError(f"{file} has the columns {batch.schema.names}; accepted: {names}, as in {files[0]}")
            stream.write(batch.select(names))
    return Dataset.from_file(path)


def _read_others(files: list[Path], cache: str) -> Any:
    from datasets import load_dataset

    with _errors_in_one_line():
        names = [str(file) for file in files]
        return load_dataset(_BUILDERS[extension(files[0])], data_files=names, split="train", cache_dir=cache)


def _columns(file: Path, cache: str) -> list[str]:
    try:
        return list(_read_others([file], cache).column_names)
    except ValueError:
        return []


def csv_batches(path: Path, separator: str | None = None) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file as batches of strings; the first batch may be empty. See `csv_rows`.

    Raises:
        ValueError: the file cannot be read or decoded, or a row has more cells than the header or a wrong quotation.
    """
    kind = extension(path)
    problem = f"{path} cannot be read as {kind}"
    with open_text(path) as file:
        names, rows = open_table(file, kind, problem, separator)
        block = list(islice(rows, CSV_ROWS))
        while True:
            cells = [_cells(row, problem) for row in block]
            columns = zip(*cells, strict=True) if cells else [()] * len(names)
            yield pa.record_batch([pa.array([cell or None for cell in it], pa.string()) for it in columns], names)
            block = list(islice(rows, CSV_ROWS))
            if not block:
                break


def _cells(row: Row, problem: str) -> list[str]:
    if row.problem:
        raise ValueError(f"{problem}: {row.problem}")
    return row.cells

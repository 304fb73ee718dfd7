"""The files that are scored: which they are, the parts they are cut into, and how a part is read."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from unroll.data.text_files import extension
from unroll.inference.scoring.columns import Rows
from unroll.inference.scoring.json_input import JsonInput
from unroll.inference.scoring.parquet_input import ParquetInput
from unroll.inference.scoring.table_input import TableInput

_SMALLEST, _LARGEST, _PARTS = 1 << 16, 1 << 24, 256  # bytes of a part; parts of an input that is not too large for them


class Chunk(NamedTuple):
    """Rows that are read, scored and written together.

    Args:
        number: of the part of the output.
        file: path of the input file.
        start, stop: rows of a Parquet file; bytes of another file, of its content if it is compressed.
        line: the number of the first line in a file of text.
    """

    number: int
    file: str
    start: int
    stop: int
    line: int


class Input(Protocol):
    """Interface of an open input file. Methods raise ValueError if the file cannot be read."""

    def schema(self) -> pa.Schema:
        """The columns; those of JSON lines are found in the first rows."""

    def cut(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Divide the rows into chunks of about `size` bytes: start, stop and line, as in `Chunk`."""

    def read(self, start: int, stop: int, line: int, schema: pa.Schema, is_whole: bool) -> Iterator[Rows]:
        """The rows of a chunk, in blocks; chunks are read fastest in their order.

        Args:
            schema: the columns that are read.
            is_whole: whether these are to be all columns, so that another one is a problem.
        """


FORMATS: dict[str, Callable[[Path], Input]] = {
    ".parquet": ParquetInput,
    ".csv": TableInput,
    ".tsv": TableInput,
    ".jsonl": JsonInput,
    ".json": JsonInput,
}
ACCEPTED = f"files of one of {', '.join(FORMATS)}, of text also followed by .gz, or folders or patterns of such files"


def open_input(file: str | Path) -> Input:
    """Open a file by its extension."""
    return FORMATS[extension(file)](Path(file))


def find_files(inputs: Sequence[str]) -> list[Path]:
    """The absolute paths of files, of the files in folders and their subfolders, and of those that match a pattern.

    Files and folders whose names begin with a dot or an underscore are no data, as in Spark and `datasets`, unless they
    are named themselves.

    Raises:
        ValueError: there is no such file, or they differ in format.
    """
    files: list[Path] = []
    for given in inputs:
        path = Path(given)
        matching = [path] if path.exists() else sorted(filter(_is_data, map(Path, glob.glob(given, recursive=True))))
        found = [file for it in matching for file in (_files_in(it) if it.is_dir() else [it])]
        if not found:
            raise ValueError(f"{given}: {'no such file' if not matching else 'no file'}; accepted: {ACCEPTED}")
        files += found
    kinds = sorted(set(map(extension, files)))
    if len(kinds) > 1 or kinds[0] not in FORMATS:
        shown = f"{files[0]}{', …' if len(files) > 1 else ''}"
        raise ValueError(f"{shown}: file extension {' and '.join(map(repr, kinds))}; accepted: {ACCEPTED}")
    return list(dict.fromkeys(file.resolve() for file in files))


def _files_in(folder: Path) -> list[Path]:
    files = (it for it in folder.rglob("*") if it.is_file() and extension(it) in FORMATS)
    return sorted(it for it in files if all(map(_is_data, map(Path, it.relative_to(folder).parts))))


def _is_data(path: Path) -> bool:
    return not path.name.startswith((".", "_"))


def would_find(given: str, path: Path) -> bool:
    """Whether a path, which need not exist yet, is in a folder that is given, or matches a pattern."""
    place = Path(os.path.abspath(path))
    if Path(given).exists():
        return place.resolve().is_relative_to(Path(given).resolve())
    return _matches(place.parts, Path(os.path.abspath(given)).parts)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the pattern matches a path, or a folder that has it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[i:], pattern[1:]) for i in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def part_size(files: Sequence[Path]) -> int:
    """Bytes of input for each part: enough parts for all cores, but not a million of them."""
    total = sum(file.stat().st_size for file in files)
    return min(max(total // _PARTS, _SMALLEST), _LARGEST)


def cut(files: Sequence[Path], size: int) -> list[Chunk]:
    """All chunks of the files, in order; one without rows if there are none, so that the output has its columns."""
    ranges = [(str(file), *it) for file in files for it in open_input(file).cut(size)]
    return [Chunk(number, *it) for number, it in enumerate(ranges or [(str(files[0]), 0, 0, 1)])]


def common_schema(files: Sequence[Path]) -> pa.Schema:
    """The columns of all files; raises ValueError if they differ, except for JSON lines, whose types are united."""
    first, *others = files
    schema = open_input(first).schema()
    if twice := [name for i, name in enumerate(schema.names) if name in schema.names[:i]]:
        raise ValueError(f"{first}: two columns are called {twice[0]!r}; accepted: columns of different names")
    for file in others:
        found = open_input(file).schema()
        if extension(file) in (".json", ".jsonl"):
            schema = JsonInput.united(schema, found)
        elif {it.name: it.type for it in found} != {it.name: it.type for it in schema}:
            shown = [", ".join(f"{it.name} ({it.type})" for it in columns) for columns in (found, schema)]
            raise ValueError(f"{file} has the columns {shown[0]}; accepted: {shown[1]}, as in {first}")
    if extension(first) in (".json", ".jsonl"):
        schema = JsonInput.settled(schema)
    return schema.remove_metadata()

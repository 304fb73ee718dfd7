"""Finds and reads local files of a dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}
_WILDCARDS = set("*?[")
_DOCUMENT = "-DOCSTART-"


def has_wildcard(pattern: str) -> bool:
    """Whether a path is a glob."""
    return not _WILDCARDS.isdisjoint(pattern)


def names_files(split: str) -> bool:
    """Whether the name of a split is a file name or a glob."""
    return has_wildcard(split) or Path(split).suffix.lower() in _BUILDERS


def base_folder(pattern: str) -> tuple[Path, str]:
    """Divide a path before its first part with a wildcard, or, without wildcards, before the file name."""
    parts = Path(pattern).parts
    count = next((i for i, part in enumerate(parts) if has_wildcard(part)), len(parts) - 1)
    return Path(*parts[:count]), str(Path(*parts[count:]))


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The sorted files in `folder` that match a relative file name or glob; none for other patterns."""
    if not pattern or Path(pattern).is_absolute():
        return []
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def label_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel feature of `datasets`, or of a list of ClassLabels; None for other features."""
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def read_conll(path: Path) -> dict[str, list[list[str]]]:
    """Read a CoNLL column file: lines with a token and its tags, and empty lines between sentences.

    Columns are separated by tabs if the line contains one, otherwise by spaces. Lines that start a document
    (-DOCSTART-) and comments (# and another number of columns) are skipped.

    Returns:
        The columns by name, "0", "1", …; each column has a list of strings per sentence.

    Raises:
        ValueError: the file is not UTF-8, contains no sentence, or the number of columns varies.
    """
    width = 0
    sentences: list[list[list[str]]] = [[]]
    for number, fields in _lines(path):
        if not fields:
            sentences.append([])
        elif fields[0] == _DOCUMENT or (fields[0].startswith("#") and len(fields) != width):
            continue
        elif width and len(fields) != width:
            raise ValueError(f"{path}, line {number}: {len(fields)} columns; accepted: {width}, as in the lines before")
        else:
            width = len(fields)
            sentences[-1].append(fields)
    whole = [sentence for sentence in sentences if sentence]
    if not whole:
        raise ValueError(f"{path} contains no sentence; accepted: lines with a token and its tags")
    return {str(i): [[fields[i] for fields in sentence] for sentence in whole] for i in range(width)}


def read_column_files(files: list[Path]) -> Any:
    """Read and concatenate CoNLL column files as a `datasets.Dataset`.

    Raises:
        ValueError: a file has another format, or another number of columns than the first one.
    """
    from datasets import Dataset

    first, *others = (read_conll(file) for file in files)
    for file, columns in zip(files[1:], others, strict=True):
        if columns.keys() != first.keys():
            raise ValueError(f"{file} has {len(columns)} columns; accepted: {len(first)}, as in {files[0]}")
    return Dataset.from_dict({name: [row for part in (first, *others) for row in part[name]] for name in first})


def read_table_files(files: list[Path], cache: str) -> Any:
    """Read and concatenate files of one format as a `datasets.Dataset`.

    Args:
        cache: folder for temporary files of `datasets`.

    Raises:
        ValueError: the format is not supported, or the files differ in format or columns.
    """
    extensions = sorted({file.suffix.lower() for file in files})
    if len(extensions) > 1 or extensions[0] not in _BUILDERS:
        raise ValueError(
            f"{files[0]}{', …' if len(files) > 1 else ''}: file extension {' and '.join(map(repr, extensions))}; "
            f"accepted: one of {', '.join(_BUILDERS)} for all files of a split"
        )
    from datasets.exceptions import DatasetsError

    try:
        return _load(files, cache)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        names = {file: _columns(file, cache) for file in files} if len(files) > 1 else {}
        for file, columns in names.items():
            if columns and names[files[0]] and columns != names[files[0]]:
                raise ValueError(
                    f"{file} has the columns {columns}; accepted: {names[files[0]]}, as in {files[0]}"
                ) from error
        cause = " ".join(f"{error.__cause__ or error}".split())
        shown = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        raise ValueError(f"{shown} cannot be read as {extensions[0]}: {cause}") from error


def _load(files: list[Path], cache: str) -> Any:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    options = {"sep": "\t"} if files[0].suffix.lower() == ".tsv" else {}
    builder = _BUILDERS[files[0].suffix.lower()]
    return load_dataset(builder, data_files=[str(file) for file in files], split="train", cache_dir=cache, **options)


def _columns(file: Path, cache: str) -> list[str]:
    from datasets.exceptions import DatasetsError

    try:
        columns: list[str] = _load([file], cache).column_names
    except (DatasetsError, OSError, ValueError, RuntimeError):
        return []
    return columns


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        # Only line feeds end a line, because a token may contain another line separator of Unicode.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                yield number, (text.split("\t") if "\t" in text else text.split(" ")) if text.strip() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error

"""Finds and reads local files of a dataset."""

from glob import has_magic
from pathlib import Path
from typing import Any

_BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}


def names_files(split: str) -> bool:
    """Whether the name of a split is a file name or a glob."""
    return has_magic(split) or Path(split).suffix.lower() in _BUILDERS


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


def label_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel feature of `datasets`, or of a list of ClassLabels; None for other features."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def read_conll(path: Path) -> dict[str, list[list[str]]]:
    """Read a CoNLL column file: lines with a token and its tags, and empty lines between sentences.

    Columns are separated by tabs if the line contains one, otherwise by spaces. Lines that start a document
    (-DOCSTART-) and comments (# and another number of columns) are skipped. Returns the columns by name, "0", "1", …;
    each column has a list of strings per sentence.

    Raises:
        ValueError: the file is not UTF-8, contains no sentence, or the number of columns varies.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    width = 0
    sentences: list[list[list[str]]] = [[]]
    # Only line feeds end a line, because a token may contain another line separator of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.rstrip("\r").split("\t" if "\t" in line else " ")
        if not line.strip():
            sentences.append([])
        elif fields[0] == "-DOCSTART-" or (fields[0].startswith("#") and len(fields) != width):
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


def read_files(files: list[Path], is_conll: bool, cache: str) -> Any:
    """Read and concatenate files of one format as a `datasets.Dataset`; `cache` is a folder for temporary files.

    Raises:
        ValueError: a file cannot be read, or the files differ in format or columns.
    """
    if is_conll:
        return _read_column_files(files)
    extensions = sorted({file.suffix.lower() for file in files})
    if len(extensions) > 1 or extensions[0] not in _BUILDERS:
        raise ValueError(
            f"{files[0]}{', …' if len(files) > 1 else ''}: file extension {' and '.join(map(repr, extensions))}; "
            f"accepted: one of {', '.join(_BUILDERS)} for all files of a split"
        )
    try:
        return _read_table_files(files, cache)
    except ValueError as error:
        expected = _columns(files[0], cache) if len(files) > 1 else []
        for file in files[1:]:
            columns = _columns(file, cache)
            if columns and expected and columns != expected:
                raise ValueError(f"{file} has the columns {columns}; accepted: {expected}, as in {files[0]}") from error
        shown = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        raise ValueError(f"{shown} cannot be read as {extensions[0]}: {error}") from error


def load(path: str, **options: Any) -> Any:
    """Call `datasets.load_dataset`; its errors become a ValueError with their cause in one line."""
    from datasets import disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError
    from yaml import YAMLError

    disable_progress_bars()
    try:
        return load_dataset(path, **options)
    except (DatasetsError, OSError, RuntimeError, ValueError, YAMLError) as error:
        raise ValueError(" ".join(f"{error.__cause__ or error}".split())) from error


def _read_column_files(files: list[Path]) -> Any:
    from datasets import Dataset

    first, *others = (read_conll(file) for file in files)
    for file, columns in zip(files[1:], others, strict=True):
        if columns.keys() != first.keys():
            raise ValueError(f"{file} has {len(columns)} columns; accepted: {len(first)}, as in {files[0]}")
    return Dataset.from_dict({name: [row for part in (first, *others) for row in part[name]] for name in first})


def _read_table_files(files: list[Path], cache: str) -> Any:
    extension = files[0].suffix.lower()
    options = {"sep": "\t"} if extension == ".tsv" else {}
    names = [str(file) for file in files]
    return load(_BUILDERS[extension], data_files=names, split="train", cache_dir=cache, **options)


def _columns(file: Path, cache: str) -> list[str]:
    try:
        return _read_table_files([file], cache).column_names
    except ValueError:
        return []

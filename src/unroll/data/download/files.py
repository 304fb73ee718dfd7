"""Local files as datasets: which ones a path or a split's name means, and what they hold."""

from pathlib import Path
from typing import Any

from unroll.data.download.column_files import read_conll

_BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}
_WILDCARDS = set("*?[")


def has_wildcard(pattern: str) -> bool:
    return not _WILDCARDS.isdisjoint(pattern)


def names_files(split: str) -> bool:
    """Whether the name of a split of a folder is that of files, rather than of a split."""
    return has_wildcard(split) or Path(split).suffix.lower() in _BUILDERS


def base_folder(pattern: str) -> tuple[Path, str]:
    """The folder before the first wildcard of a path, and the rest; of a file without one, its own folder and name."""
    parts = Path(pattern).parts
    count = next((i for i, part in enumerate(parts) if has_wildcard(part)), len(parts) - 1)
    return Path(*parts[:count]), str(Path(*parts[count:]))


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that a name or a glob means, in order; none where it is no relative path."""
    if not pattern or Path(pattern).is_absolute():
        return []
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def read_column_files(files: list[Path]) -> Any:
    """The sentences of CoNLL column files, one file after the other, as a `datasets.Dataset`.

    Raises:
        ValueError: a file is none, or has other columns than the first.
    """
    from datasets import Dataset

    first, *others = (read_conll(file) for file in files)
    for file, columns in zip(files[1:], others, strict=True):
        if columns.keys() != first.keys():
            raise ValueError(f"{file} has {len(columns)} columns, but {files[0]} has {len(first)}; accepted: as many")
    return Dataset.from_dict({name: [row for part in (first, *others) for row in part[name]] for name in first})


def read_table_files(files: list[Path], cache: str) -> Any:
    """The rows of files of one format, one file after the other, as a `datasets.Dataset`.

    Raises:
        ValueError: the format is not known, or the files differ in it or in their columns.
    """
    endings = sorted({file.suffix.lower() for file in files})
    if len(endings) > 1 or endings[0] not in _BUILDERS:
        raise ValueError(
            f"{files[0]}{', …' if len(files) > 1 else ''}: ends in {' and '.join(map(repr, endings))}; accepted: "
            f"one of {', '.join(_BUILDERS)} for all files of a split"
        )
    from datasets.exceptions import DatasetsError

    try:
        return _load(files, cache)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        names = {file: _columns(file, cache) for file in files} if len(files) > 1 else {}
        for file, columns in names.items():
            if columns and names[files[0]] and columns != names[files[0]]:
                raise ValueError(
                    f"{file} has the columns {columns}, but {files[0]} has {names[files[0]]}; accepted: files of a "
                    "split with the same columns"
                ) from error
        cause = " ".join(f"{error.__cause__ or error}".split())
        shown = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        raise ValueError(f"{shown} cannot be read as {endings[0]}: {cause}") from error


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

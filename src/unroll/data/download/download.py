"""The download stage: writes a dataset as parquet splits and a manifest."""

import tempfile
from collections.abc import Sequence
from glob import has_magic
from itertools import chain
from pathlib import Path
from typing import Any

from unroll.data.download import hub
from unroll.data.download.files import base_folder, load_folder, matching_files, names_files, read_files
from unroll.data.raw import declared_names
from unroll.data.source import Source
from unroll.files import sha256, whole_file, whole_folder, write_checksums, write_json

GROUP_ROWS, GROUP_BYTES = 10_000, 1 << 22  # maximum size of a row group, which the prepare stage reads as a whole


def download(source: Source, output: Path) -> dict[str, Any]:
    """Write {train,validation,test}.parquet and manifest.json into the folder `output`; return the manifest.

    The manifest contains the path, the configuration, the commit, the SHA-256 of every source file, the number of
    rows and the SHA-256 of every split, and the declared label names.

    Raises:
        ValueError: the data cannot be read, a checksum differs from the one in `source`, or a split or column is
            missing.
    """
    from datasets import disable_progress_bars

    disable_progress_bars()
    folder, commit, chosen = find(source.path, source.revision, _column_files(source))
    named = {"train": chosen} if chosen else _named_files(source, folder)
    data_files = (file for pattern in hub.DATA_FILES for file in folder.rglob(pattern) if file.is_file())
    files = chosen or sorted({*data_files, *chain.from_iterable(named.values())})
    checksums = {str(file.relative_to(folder)): sha256(file) for file in files}
    _check_pinned(source, checksums)
    with tempfile.TemporaryDirectory() as cache:
        splits = _load(source, named, None if chosen else folder, cache)
        label_names = source.choose_names(declared_names(splits["train"].features.arrow_schema, source.label_column))
        with whole_folder(output) as work:
            written = {}
            for split, rows in splits.items():
                group_rows = max(1, min(GROUP_ROWS, GROUP_BYTES * len(rows) // max(1, rows.data.nbytes)))
                with whole_file(work / f"{split}.parquet") as temporary:
                    rows.to_parquet(str(temporary), batch_size=group_rows)
                written[split] = {"rows": len(rows), "sha256": sha256(work / f"{split}.parquet")}
            manifest = {
                "task": source.task,
                "path": source.path,
                "name": source.name,
                "revision": commit and source.revision,
                "commit": commit,
                "files": checksums,
                "label_names": label_names,
                "splits": written,
            }
            write_json(work / "manifest.json", manifest)
            write_checksums(work)
    return manifest


def find(
    path: str, revision: str, patterns: Sequence[str] = (), where: str = "dataset"
) -> tuple[Path, str | None, list[Path]]:
    """The folder of the data, the commit of a Hub repository, and the files if the path is a file or glob.

    Args:
        path: a folder, a file, a glob, or a Hub repository, whose data files are downloaded.
        patterns: of more files in the repository.
        where: the key of the configuration that has the path, for messages.

    Raises:
        ValueError: there is nothing at the path, or it cannot be downloaded.
    """
    if Path(path).is_dir():
        return Path(path), None, []
    if has_magic(path) or Path(path).is_file():
        folder, pattern = base_folder(path)
        if not (chosen := matching_files(folder, pattern)):
            raise ValueError(f"{where}.path={path!r}: no file matches; accepted: a glob that matches files")
        return folder, None, chosen
    if not is_repository(path):
        raise ValueError(
            f"{where}.path={path!r}: no such folder or file; accepted: a folder, a file, a glob, or a Hub repository "
            "'owner/name'"
        )
    return *hub.snapshot(path, revision, patterns, where), []


def is_repository(path: str) -> bool:
    """Whether a path that is neither a folder nor a file is the name of a Hub repository, not of a missing file."""
    return not path.startswith(("/", "./", "../", "~")) and path.count("/") == 1


def _column_files(source: Source) -> list[str]:
    return [theirs for theirs in source.splits.values() if theirs and source.format == "conll"]


def _check_pinned(source: Source, checksums: dict[str, str]) -> None:
    for file, pinned in source.sha256.items():
        if file not in checksums:
            raise ValueError(f"dataset.sha256: {source.path} has no file {file!r}; accepted: {', '.join(checksums)}")
        if checksums[file] != pinned:
            raise ValueError(
                f"{file} of {source.path} has the SHA-256 {checksums[file]}; accepted by dataset.sha256: {pinned}"
            )


def _named_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """The files of each split whose name is a file or a glob, by that name."""
    named = {}
    for split, theirs in source.splits.items():
        if theirs is None or not (source.format == "conll" or names_files(theirs)):
            continue
        named[theirs] = matching_files(folder, theirs)
        if not named[theirs]:
            present = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
            raise ValueError(
                f"dataset.splits.{split}={theirs!r}: {source.path} has no such file; "
                f"accepted: {', '.join(present[:20])}"
            )
    return named


def _load(source: Source, named: dict[str, list[Path]], folder: Path | None, cache: str) -> dict[str, Any]:
    """Load the splits train, validation and test as `datasets.Dataset`, and check their columns.

    Splits in `named` are read from these files, others from `folder` in the Hub's layout, if any.
    """
    wanted = {split: theirs for split, theirs in source.splits.items() if theirs is not None}
    found = {
        theirs: read_files(files, source.lists_by_column, source.format == "conll", cache)
        for theirs, files in named.items()
    }
    if folder is not None and not set(wanted.values()) <= set(found):
        try:
            found = load_folder(folder, source.name, source.lists_by_column, cache) | found
        except ValueError as error:
            chosen = f" (configuration {source.name!r})" if source.name else ""
            accepted = "a folder or repository with parquet (or CSV, JSON lines, Arrow) files in the Hub's layout"
            hint = "" if "accepted: " in str(error) else f"; accepted: {accepted}"
            raise ValueError(
                f"dataset.path={source.path!r}{chosen} cannot be loaded as a dataset: {error}{hint}"
            ) from error
    for split, theirs in wanted.items():
        if theirs not in found:
            hint = "" if split == "train" else f", or dataset.splits.{split}=null to draw it from train"
            raise ValueError(
                f"dataset.splits.{split}={theirs!r}: {source.path} has no such split; accepted: {sorted(found)}{hint}"
            )
        for role, column in source.columns.items():
            if column not in found[theirs].column_names:
                raise ValueError(
                    f"dataset.columns.{role}={column!r}: split {theirs!r} of {source.path} has no such column; "
                    f"accepted: {found[theirs].column_names}"
                )
            if role != "spans" and "arrow.json" in str(found[theirs].features.arrow_schema.field(column).type):
                raise ValueError(
                    f"dataset.columns.{role}={column!r}: split {theirs!r} of {source.path} has several types; "
                    "accepted: values of one type, such as numbers or strings"
                )
    return {split: found[theirs] for split, theirs in wanted.items()}

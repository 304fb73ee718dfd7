"""The download stage: writes a dataset as parquet splits and a manifest."""

import tempfile
from glob import has_magic
from pathlib import Path
from typing import Any

from unroll.data.download import hub
from unroll.data.download.files import base_folder, label_names, load, matching_files, names_files, read_files
from unroll.data.source import Source
from unroll.files import sha256, whole_folder, write_json

GROUP_ROWS, GROUP_BYTES = 10_000, 1 << 22  # maximum size of a row group, which the prepare stage reads as a whole


def download(source: Source, output: Path) -> dict[str, Any]:
    """Write {train,validation,test}.parquet and manifest.json into the folder `output`; return the manifest.

    The manifest contains the path, the configuration, the commit, the SHA-256 of every source file, the number of
    rows and the SHA-256 of every split, and the declared label names.

    Raises:
        ValueError: the data cannot be read, a checksum differs from the one in `source`, or a split or column is
            missing.
    """
    commit = None
    chosen: list[Path] = []  # the files of train, if the path is a file or glob
    if Path(source.path).is_dir():
        folder = Path(source.path)
    elif has_magic(source.path) or Path(source.path).is_file():
        folder, pattern = base_folder(source.path)
        chosen = matching_files(folder, pattern)
        if not chosen:
            raise ValueError(f"dataset.path={source.path!r}: no file matches; accepted: a glob that matches files")
    elif source.path.startswith(("/", "./", "../", "~")) or source.path.count("/") != 1:
        raise ValueError(
            f"dataset.path={source.path!r}: no such folder or file; accepted: a folder, a file, a glob, or a Hub "
            "repository 'owner/name'"
        )
    else:
        folder, commit = hub.snapshot(source.path, source.revision)

    files = chosen or sorted(file for pattern in hub.DATA_FILES for file in folder.rglob(pattern) if file.is_file())
    checksums = {str(file.relative_to(folder)): sha256(file) for file in files}
    _check_pinned(source, checksums)
    with tempfile.TemporaryDirectory() as cache:
        splits = _load(source, folder, chosen, cache)
        with whole_folder(output) as work:
            written = {}
            for split, rows in splits.items():
                group_rows = max(1, min(GROUP_ROWS, GROUP_BYTES * len(rows) // max(1, rows.data.nbytes)))
                rows.to_parquet(str(work / f"{split}.parquet"), batch_size=group_rows)
                written[split] = {"rows": len(rows), "sha256": sha256(work / f"{split}.parquet")}
            manifest = {
                "task": source.task,
                "path": source.path,
                "name": source.name,
                "revision": source.revision,
                "commit": commit,
                "files": checksums,
                "label_names": source.label_names or label_names(splits["train"].features[source.label_column]),
                "splits": written,
            }
            write_json(work / "manifest.json", manifest)
    return manifest


def _check_pinned(source: Source, checksums: dict[str, str]) -> None:
    for file, pinned in source.sha256.items():
        if file not in checksums:
            raise ValueError(f"dataset.sha256: {source.path} has no file {file!r}; accepted: {', '.join(checksums)}")
        if checksums[file] != pinned:
            raise ValueError(
                f"{file} of {source.path} has the SHA-256 {checksums[file]}; accepted by dataset.sha256: {pinned}"
            )


def _load(source: Source, folder: Path, chosen: list[Path], cache: str) -> dict[str, Any]:
    """Load the splits train, validation and test as `datasets.Dataset`, and check their columns."""
    wanted = {split: theirs for split, theirs in source.splits.items() if theirs is not None}
    if chosen:
        found = {"train": read_files(chosen, source.format == "conll", cache)}
    else:
        found = _load_folder(source, folder, wanted, cache)
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
    return {split: found[theirs] for split, theirs in wanted.items()}


def _load_folder(source: Source, folder: Path, wanted: dict[str, str], cache: str) -> dict[str, Any]:
    """Load splits by the names in `wanted`, from files if a name is a file or a glob."""
    is_conll = source.format == "conll"
    found: dict[str, Any] = {}
    for split, theirs in wanted.items():
        if not is_conll and not names_files(theirs):
            continue
        files = matching_files(folder, theirs)
        if not files:
            present = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
            raise ValueError(
                f"dataset.splits.{split}={theirs!r}: {source.path} has no such file; "
                f"accepted: {', '.join(present[:20])}"
            )
        found[theirs] = read_files(files, is_conll, cache)
    if len(found) == len(set(wanted.values())):
        return found
    try:
        return found | load(str(folder), name=source.name, cache_dir=cache)
    except ValueError as error:
        raise ValueError(
            f"dataset.path={source.path!r} (configuration {source.name!r}) cannot be loaded as a dataset: {error}; "
            "accepted: a folder or repository with parquet (or CSV, JSON lines, Arrow) files in the Hub's layout"
        ) from error

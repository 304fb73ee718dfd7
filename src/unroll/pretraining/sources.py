"""Where unlabelled text comes from: datasets, Hub repositories, folders and files."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unroll.data.download.download import find, is_repository
from unroll.data.download.files import EXTENSIONS, load_folder, read_files
from unroll.data.prepared import PreparedData
from unroll.data.raw import group_starts, plain_values, raw_rows, read_manifest
from unroll.data.source import Source
from unroll.data.text_files import extension, open_text
from unroll.files import sha256

Document = str | list[str] | None  # a text, given tokens, or None for what cannot be read
BATCH = 500  # number of documents that are read at a time
TEXT = ".txt"


@dataclass(frozen=True)
class Dataset:
    """A downloaded and prepared dataset.

    Args:
        name: of its file in ``conf/dataset``.
        source: what that declares.
        raw, prepared: its folders.
    """

    name: str
    source: Source
    raw: Path
    prepared: Path

    def identity(self, splits: Collection[str]) -> dict[str, Any]:
        """Checksums of the raw splits and, if they decide which rows `documents` yields, of the prepared data.

        Raises:
            ValueError: what it needs of these is missing or damaged.
        """
        manifest = read_manifest(self.raw, self.source)
        facts: dict[str, Any] = {split: it.get("sha256") for split, it in manifest["splits"].items()}
        if any(self._is_chosen(split) for split in splits):
            facts["prepared"] = PreparedData(self.prepared).checksum
        return facts

    def documents(self, split: str) -> Iterator[list[Document]]:
        """The texts of a split; a pair is two texts.

        A split that was drawn from train has the rows of the prepared data, and train is without them.
        """
        own = self.raw / f"{split}.parquet"
        path = own if own.is_file() else self.raw / "train.parquet"
        rows = np.unique(PreparedData(self.prepared).split(split).rows) if self._is_chosen(split) else None
        *starts, _ = group_starts(path)
        for group, start in enumerate(starts):
            found: list[Document] = []
            for row, values in enumerate(raw_rows(path, self.source, group), start):
                if rows is None or _contains(rows, row):
                    found += _texts(values)
                if len(found) >= BATCH:
                    yield found
                    found = []
            yield found

    def _is_chosen(self, split: str) -> bool:
        """Whether the prepare stage has chosen the rows of a split, which is train or drawn from it."""
        return split == "train" or not (self.raw / f"{split}.parquet").is_file()


@dataclass(frozen=True)
class TextSource:
    """Text of a file of ``conf/corpus``: a dataset of ``conf/dataset``, or what is at a path.

    Args:
        dataset: the name of a dataset, whose training split is read; the rest then is not set.
        path: a Hub repository `owner/name`, or a folder with the same layout or with text files, a file, or a glob.
            The files are parquet, Arrow, CSV, TSV, JSON or JSON lines, or .txt with one text per line.
        column: of texts, or of lists of tokens; .txt has none.
        split: of a repository or a folder with the same layout.
        name: the Hub configuration, if the repository has several.
        revision: the Hub revision; the SHA of a commit pins the text.

    Raises:
        ValueError: neither or both of `dataset` and `path` are given.
    """

    dataset: str | None = None
    path: str | None = None
    column: str = "text"
    split: str = "train"
    name: str | None = None
    revision: str = "main"

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.path is None):
            raise ValueError(
                f"dataset={self.dataset}, path={self.path}: accepted: one of the two, the name of a dataset, or a "
                "folder, a file, a glob or a Hub repository"
            )

    def identity(self, where: str) -> dict[str, Any]:
        """What the text at the path depends on: the revision of a repository, which is not asked; checksums of files.

        Raises:
            ValueError: there is nothing at the path.
        """
        assert self.path is not None
        facts = {name: value for name, value in vars(self).items() if value is not None}
        if not Path(self.path).exists() and is_repository(self.path):
            return facts
        folder, _, chosen = find(self.path, self.revision, where=where)
        files = chosen or sorted(file for file in folder.rglob("*") if file.is_file())
        return facts | {"sha256": {str(file.relative_to(folder)): sha256(file) for file in files}}

    def documents(self, where: str, cache: str) -> Iterator[list[Document]]:
        """The texts at the path; `cache` is a folder for temporary files.

        Raises:
            ValueError: nothing is there, a file cannot be read, or there is no such split or column.
        """
        assert self.path is not None
        folder, _, chosen = find(self.path, self.revision, where=where)
        texts = [file for file in chosen or sorted(folder.rglob(f"*{TEXT}*")) if extension(file) == TEXT]
        others = [file for file in chosen or folder.rglob("*") if extension(file) in EXTENSIONS]
        if texts and (not others or chosen):
            if others:
                raise ValueError(f"{where}.path={self.path!r}: {texts[0]} and {others[0]}; accepted: files of one kind")
            return _lines(texts)
        columns = {self.column: False}
        if chosen:
            return self._rows(read_files(chosen, columns, False, cache), where)
        try:
            splits = load_folder(folder, self.name, columns, cache)
        except ValueError as error:
            kinds = f"files of {', '.join((TEXT, *EXTENSIONS))}, or the Hub's layout"
            raise ValueError(f"{where}.path={self.path!r} cannot be loaded: {error}; accepted: {kinds}") from error
        if self.split not in splits:
            raise ValueError(f"{where}.split={self.split!r}: no such split; accepted: {', '.join(map(str, splits))}")
        return self._rows(splits[self.split], where)

    def _rows(self, rows: Any, where: str) -> Iterator[list[Document]]:
        if self.column not in rows.column_names:
            accepted = ", ".join(rows.column_names)
            raise ValueError(f"{where}.column={self.column!r}: no such column; accepted: {accepted}")
        batches = rows.select_columns([self.column]).with_format("arrow").iter(BATCH)
        return (_values(table[self.column].combine_chunks()) for table in batches)


def _lines(files: list[Path]) -> Iterator[list[Document]]:
    for path in files:
        with open_text(path) as file:
            lines = (line.rstrip("\r\n") for line in file if not line.isspace())
            while batch := list(islice(lines, BATCH)):
                yield [*batch]


def _texts(values: dict[str, Any] | None) -> list[Document]:
    """The texts of a row, by the role of its columns."""
    if values is None:
        return [None]
    return [_checked(values[role]) for role in ("text", "text_pair", "tokens") if role in values]


def _values(column: pa.Array) -> list[Document]:
    with suppress(UnicodeDecodeError):
        return [_checked(value) for value in plain_values(column)]
    if len(column) == 1:
        return [None]
    return [document for i in range(len(column)) for document in _values(column.slice(i, 1))]


def _checked(value: Any) -> Document:
    is_tokens = isinstance(value, list) and all(isinstance(token, str) and token for token in value)
    return value if isinstance(value, str) or is_tokens else None


def _contains(rows: np.ndarray, row: int) -> bool:
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row

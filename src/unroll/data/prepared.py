"""Prepared data on disk: encoded splits and the schema of the dataset."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unroll.arguments import check_arguments
from unroll.data.encoding import TokenTable
from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.files import CHECKSUMS, check_files, read_json, reading, sha256
from unroll.project import writing_command

log = logging.getLogger("unroll")

COUNTED = 1 << 21  # tokens that are in memory while words are counted


@dataclass(frozen=True)
class Facts:
    """What commands read of dataset.json; prepared data of earlier versions have the first four only."""

    task: Task
    label_names: list[str]
    is_pair: bool
    checksum: str
    given_tokens: bool = False
    source: dict[str, str | None] = field(default_factory=dict)
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    inexact_spans: dict[str, int] = field(default_factory=dict)

    @classmethod
    def check(cls, description: dict[str, Any]) -> None:
        """Raise ValueError if one of them is missing, or has another type."""
        known = {it.name: it.default is MISSING and it.default_factory is MISSING for it in fields(cls)}
        if missing := [name for name, is_needed in known.items() if is_needed and name not in description]:
            raise ValueError(f"missing {', '.join(missing)}")
        check_arguments(cls, {name: description[name] for name in known if name in description}, "")


@dataclass(frozen=True)
class EncodedSplit:
    """A split with N sequences and M tokens in total.

    Args:
        task: the task that the labels belong to.
        table: the distinct tokens.
        sequences: the tokens of each sequence, as rows of `table`.
        labels: (N,) for classification, (N, L) bool for multilabel, (M,) for labeling and tagging.
        rows: (N,) the row of the raw split that each sequence comes from.
    """

    task: Task
    table: TokenTable
    sequences: Ragged
    labels: np.ndarray
    rows: np.ndarray

    ARRAYS = ("tokens", "labels", "offsets", "rows")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> np.ndarray:
        """The tokens of all sequences, (M,)."""
        return self.sequences.values

    @property
    def offsets(self) -> np.ndarray:
        """Sequence i is ``tokens[offsets[i]:offsets[i + 1]]``; (N + 1,)."""
        return self.sequences.offsets

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each sequence, (N,)."""
        return self.sequences.lengths

    @cached_property
    def tags(self) -> Ragged:
        """The labels of each sequence's tokens; for labeling and tagging."""
        return Ragged(self.labels, self.offsets)

    def word_counts(self, size: int) -> np.ndarray:
        """How often each word of a vocabulary of this size occurs, (V,)."""
        counts = np.zeros(size, np.int64)
        for block in self.sequences.blocks(COUNTED):
            counts += np.bincount(self.table.words[block.values], minlength=size)
        return counts

    def head(self, count: int) -> "EncodedSplit":
        labels = self.tags.head(count).values if self.task in TOKEN_TASKS else self.labels[:count]
        return replace(self, sequences=self.sequences.head(count), labels=labels, rows=self.rows[:count])

    @classmethod
    def load(cls, folder: Path, task: Task, table: TokenTable) -> "EncodedSplit":
        """Memory-map the arrays in `folder`."""
        tokens, labels, offsets, rows = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.ARRAYS)
        return cls(task, table, Ragged(tokens, offsets), labels, rows)


class PreparedData:
    """The output of the prepare stage.

    Raises:
        ValueError: `folder` contains no prepared data, or files that are not what was written; `schema`, `table` and
            `split` raise it for the files that they read.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        if not (folder / "dataset.json").exists():
            raise ValueError(f"{folder} contains no prepared data; run first: {_command(folder)}")
        self.folder = folder
        self._remedy = f"recreate it with {_command(folder)}"
        check_files(folder, self._remedy, ["dataset.json"])
        with reading(folder / "dataset.json", self._remedy):
            self.description: dict[str, Any] = read_json(folder / "dataset.json", ["task"])
            Facts.check(self.description)
        self.task: Task = self.description["task"]
        self.label_names: list[str] = self.description["label_names"]
        self.checksum: str = self.description["checksum"]

    @cached_property
    def schema(self) -> DataSchema:
        check_files(self.folder, self._remedy, DataSchema.FILES)
        with reading(self.folder, self._remedy):
            return DataSchema.load(self.folder, self.description)

    @cached_property
    def table(self) -> TokenTable:
        """The distinct tokens; raises ValueError if any file of the dataset is not what was written."""
        check_files(self.folder, self._remedy)
        if not (self.folder / CHECKSUMS).exists() and checksum_of(self.folder) != self.checksum:
            raise ValueError(f"{self.folder} is damaged: its checksum has changed; {self._remedy}")
        return TokenTable.load(self.folder / "tokens")

    def joined(self, words: Sequence[str]) -> "PreparedData":
        """A view of these data whose vocabulary has those of `words` that it lacks after its own.

        The tokens of all splits keep their rows in the table; the rows whose word is in the vocabulary only now get its
        id. So a model that knows words which train does not contain, from pretrained weights, reads them in all splits.

        Raises:
            ValueError: the data were prepared by an earlier version, which did not keep the words of these rows.
        """
        vocabulary = list(dict.fromkeys([*self.schema.vocabulary, *words]))
        if len(vocabulary) == len(self.schema.vocabulary):
            return self
        view = copy.copy(self)
        view.schema = replace(self.schema, vocabulary=vocabulary)
        view.table = self.table.with_words(self._other_words(), vocabulary)
        return view

    def _other_words(self) -> list[str]:
        """The words of the rows of the table that are not in the vocabulary."""
        if not self.other_words_file.is_file():
            raise ValueError(
                f"{self.folder} was prepared by an earlier version, without the words outside the vocabulary, which "
                f"pretrained weights may know; run again: {_command(self.folder)}"
            )
        with reading(self.other_words_file, self._remedy):
            words: list[str] = read_json(self.other_words_file)
            if not isinstance(words, list) or len(words) != len(self.table.unknown):
                raise ValueError("not a list of the words outside the vocabulary")
            return words

    @property
    def other_words_file(self) -> Path:
        return self.folder / "tokens" / TokenTable.OTHER_WORDS

    def split(self, name: str) -> EncodedSplit:
        """Load the split `train`, `validation` or `test`."""
        return EncodedSplit.load(self.folder / name, self.task, self.table)

    def warn_of_one_label(self) -> None:
        """Log a warning if all texts of train have the same labels, or all tokens the same tag."""
        labels = self.split("train").labels
        if (labels == labels[:1]).all():
            chosen = np.flatnonzero(labels[0]) if self.task == "multilabel" else labels[:1]
            names = ", ".join(self.label_names[i] for i in chosen) or "none"
            what = "tokens" if self.task in TOKEN_TASKS else "texts"
            log.warning(
                "warning: %s: all %s of train have the label %s, so any model predicts it", self.folder, what, names
            )


def _command(folder: Path) -> str:
    return writing_command("prepare", folder, "data/prepared")


def checksum_of(folder: Path) -> str:
    """The checksum of the arrays and vocabularies of prepared data; missing files give another one."""
    files = [*sorted(folder.rglob("*.npy")), folder / "vocabulary.json", folder / "alphabet.json"]
    return sha256(*(file for file in files if file.is_file()))

"""Prepared data on disk: encoded splits, the vocabulary, the label names."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import TokenTable
from unroll.data.schema import DataSchema
from unroll.data.tokens import Task
from unroll.files import read_json


@dataclass(frozen=True)
class EncodedSplit:
    """A split as ragged arrays: sequence i is `tokens[offsets[i]:offsets[i + 1]]`.

    Shapes, for N sequences of M tokens in all: `tokens` (M,) rows of `table`, `offsets` (N + 1,), `rows` (N,) the
    row of the raw split, `labels` (N,) for classification, (N, L) bool for multilabel, or (M,) for labeling.
    """

    task: Task
    table: TokenTable
    tokens: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray

    ARRAYS = ("tokens", "labels", "offsets", "rows")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def head(self, count: int) -> "EncodedSplit":
        """The first `count` sequences."""
        offsets = self.offsets[: count + 1]
        labels = self.labels[: offsets[-1] if self.task == "labeling" else count]
        return replace(self, tokens=self.tokens[: offsets[-1]], labels=labels, offsets=offsets, rows=self.rows[:count])

    @classmethod
    def load(cls, folder: Path, task: Task, table: TokenTable) -> "EncodedSplit":
        """Map the arrays into memory: pages are read as batches ask for them."""
        return cls(task, table, *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.ARRAYS))


class PreparedData:
    """What the prepare stage wrote into `folder`.

    Raises:
        ValueError: nothing has been prepared there.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        if not (folder / "dataset.json").exists():
            raise ValueError(
                f"{folder} holds no prepared data; first: python pipelines/prepare.py dataset={folder.name}"
            )
        self.folder = folder
        self.description: dict[str, Any] = read_json(folder / "dataset.json")
        self.task: Task = self.description["task"]
        self.label_names: list[str] = self.description["label_names"]
        self.checksum: str = self.description["checksum"]

    @cached_property
    def schema(self) -> DataSchema:
        return DataSchema.load(self.folder, self.description)

    @cached_property
    def table(self) -> TokenTable:
        return TokenTable.load(self.folder / "tokens")

    def split(self, name: str) -> EncodedSplit:
        return EncodedSplit.load(self.folder / name, self.task, self.table)

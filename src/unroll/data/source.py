"""What a dataset is: where it comes from, which columns hold what, which splits it has."""

import re
from dataclasses import dataclass, field
from typing import Literal

from unroll.data.tags import TagScheme

Task = Literal["classification", "labeling"]

SPLITS = ("train", "validation", "test")
COLUMNS = {"classification": ("text", "label"), "labeling": ("tokens", "labels")}


@dataclass(frozen=True)
class Source:
    """One dataset, as declared in `conf/dataset/NAME.yaml`.

    Args:
        task: `classification` (one label a text) or `labeling` (one tag a token).
        path: a Hub repository, `owner/name`, or a folder in the same layout.
        name: the Hub configuration, where the repository has several.
        revision: the Hub revision to take; a commit's SHA pins the data for good.
        columns: our name of a column to the dataset's own: `text` and `label`, or `tokens` and `labels`.
        splits: `train`, `validation` and `test` to the dataset's own names; a `null` validation is carved
            from train.
        label_names: the labels in order; `null` where the dataset declares them itself, or to collect
            them from the training split.
        tag_scheme: of the tags of a labeling dataset; see `TagReader`.
        sha256: the checksums that files must have, by their path in the repository or folder.

    Raises:
        ValueError: a column or split of the task is missing, or one is unknown; a checksum is none.
    """

    task: Task
    path: str
    columns: dict[str, str]
    name: str | None = None
    revision: str = "main"
    splits: dict[str, str | None] = field(default_factory=lambda: {split: split for split in SPLITS})
    label_names: list[str] | None = None
    tag_scheme: TagScheme = "iob2"
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = COLUMNS[self.task]
        if set(self.columns) != set(expected):
            raise ValueError(
                f"dataset.columns names {sorted(self.columns)}; a {self.task} dataset has {list(expected)}"
            )
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"dataset.splits names {sorted(self.splits)}; accepted: exactly {list(SPLITS)}")
        for split in ("train", "test"):
            if self.splits[split] is None:
                raise ValueError(f"dataset.splits.{split} is null; only validation can be carved from train")
        for file, checksum in self.sha256.items():
            if not re.fullmatch("[0-9a-f]{64}", checksum):
                raise ValueError(f"dataset.sha256[{file}]={checksum!r}; accepted: 64 hexadecimal digits, lower case")

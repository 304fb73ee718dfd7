"""What a dataset is: where it comes from, which columns hold what, which splits it has."""

import re
from dataclasses import dataclass, field
from typing import Literal

from unroll.data.tags import TagScheme
from unroll.data.tokens import Task

SPLITS = ("train", "validation", "test")
COLUMNS: dict[Task, list[tuple[str, ...]]] = {  # our names, in the ways that a dataset of the task may have them
    "classification": [("text", "label"), ("text", "text_pair", "label")],
    "multilabel": [("text", "labels"), ("text", "text_pair", "labels")],
    "labeling": [("tokens", "labels"), ("text", "spans")],
}
Format = Literal["hub", "conll"]


@dataclass(frozen=True)
class Source:
    """One dataset, as declared in `conf/dataset/NAME.yaml`.

    Args:
        task: `classification` (one label a text), `multilabel` (any number of them) or `labeling` (one tag a token).
        path: a Hub repository, `owner/name`, or a folder in the same layout.
        name: the Hub configuration, where the repository has several.
        revision: the Hub revision to take; a commit's SHA pins the data for good.
        columns: our name of a column to the dataset's own: see COLUMNS. `text_pair` is a second text, read after the
            first; `spans` a list of `{start, end, label}` in characters of the text.
        format: `hub`, what `datasets` loads from a folder; or `conll`, column files, whose columns are "0", "1", … and
            whose splits are file names.
        splits: `train`, `validation` and `test` to the dataset's own names; a `null` validation or test is
            carved from train.
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
    format: Format = "hub"
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        accepted = COLUMNS[self.task]
        if not any(set(self.columns) == set(columns) for columns in accepted):
            shown = " or ".join(str(list(columns)) for columns in accepted)
            raise ValueError(f"dataset.columns names {sorted(self.columns)}; a {self.task} dataset has {shown}")
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"dataset.splits names {sorted(self.splits)}; accepted: exactly {list(SPLITS)}")
        if self.splits["train"] is None:
            raise ValueError("dataset.splits.train is null; accepted: a split; only the others can be carved from it")
        for file, checksum in self.sha256.items():
            if not re.fullmatch("[0-9a-f]{64}", checksum):
                raise ValueError(f"dataset.sha256[{file}]={checksum!r}; accepted: 64 hexadecimal digits, lower case")

    @property
    def is_pair(self) -> bool:
        return "text_pair" in self.columns

    @property
    def text_columns(self) -> list[str]:
        """The dataset's own columns of texts, or of tokens."""
        return [self.columns[ours] for ours in ("text", "text_pair", "tokens") if ours in self.columns]

    @property
    def text_column(self) -> str:
        """The dataset's own column of texts, or of tokens."""
        return self.columns.get("text") or self.columns["tokens"]

    @property
    def label_column(self) -> str:
        """The dataset's own column of labels, tags or spans."""
        return next(theirs for ours, theirs in self.columns.items() if ours not in ("text", "text_pair", "tokens"))

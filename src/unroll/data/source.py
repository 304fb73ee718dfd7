"""The declaration of a dataset: its source, columns and splits."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from unroll.data.tags import TagScheme
from unroll.data.tokens import DeclaredTask

SPLITS = ("train", "validation", "test")
COLUMNS: dict[DeclaredTask, list[tuple[str, ...]]] = {  # accepted sets of column roles
    "classification": [("text", "label"), ("text", "text_pair", "label"), ("tokens", "label")],
    "multilabel": [("text", "labels"), ("text", "text_pair", "labels"), ("tokens", "labels")],
    "labeling": [("tokens", "labels"), ("text", "spans")],
}


@dataclass(frozen=True)
class Source:
    """A dataset as declared in `conf/dataset/NAME.yaml`.

    Args:
        task: `classification` (one label per text), `multilabel` (any number of labels per text) or `labeling` (one
            tag per token).
        path: a Hub repository `owner/name`, or a folder with the same layout, a file or a glob.
        columns: the dataset's column for each role in COLUMNS. `text_pair` is a second text, read after the first;
            `tokens` is a list of strings; `spans` is a list of entities, see `tag_spans`.
        name: the Hub configuration, if the repository has several.
        revision: the Hub revision; the SHA of a commit pins the data.
        splits: the dataset's names of `train`, `validation` and `test`; if validation or test is `null`, it is
            drawn from train.
        label_names: the labels in order; `null` if the dataset declares them, or to collect them from the training
            split. See `choose_names` for a dataset that declares them.
        tag_scheme: the scheme of the tags of a labeling dataset, see `TagReader`; `none` for plain tags, such as parts
            of speech; `null` to find it out from the training split.
        format: `hub` for data that `datasets` loads from a folder, or `conll` for column files, whose columns are
            "0", "1", … and whose splits are file names.
        sha256: expected checksums of files, by path in the repository or folder.

    Raises:
        ValueError: a column or split is missing or unknown, a label name occurs twice, or a checksum is malformed.
    """

    task: DeclaredTask
    path: str
    columns: dict[str, str]
    name: str | None = None
    revision: str = "main"
    splits: dict[str, str | None] = field(default_factory=lambda: {split: split for split in SPLITS})
    label_names: list[str] | None = None
    tag_scheme: TagScheme | None = None
    format: Literal["hub", "conll"] = "hub"
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        accepted = COLUMNS[self.task]
        if not any(set(self.columns) == set(columns) for columns in accepted):
            shown = " or ".join(str(list(columns)) for columns in accepted)
            raise ValueError(f"dataset.columns={sorted(self.columns)} for dataset.task={self.task}; accepted: {shown}")
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"dataset.splits={sorted(self.splits)}; accepted: exactly {list(SPLITS)}")
        if self.splits["train"] is None:
            raise ValueError("dataset.splits.train=null; accepted: the name of a split; only others can be null")
        names = self.label_names or []
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"dataset.label_names={names}: {twice[0]!r} occurs twice; accepted: distinct names")
        if unusable := [name for name in names if not name or name != name.strip()]:
            raise ValueError(
                f"dataset.label_names={names}: {unusable[0]!r}; accepted: names without white space around them"
            )
        if self.tag_scheme == "none" and "spans" in self.columns:
            raise ValueError(
                "dataset.tag_scheme=none with dataset.columns.spans; accepted: null, since spans have types"
            )
        for file, checksum in self.sha256.items():
            if not re.fullmatch("[0-9a-f]{64}", checksum):
                raise ValueError(f"dataset.sha256[{file}]={checksum!r}; accepted: 64 lower-case hexadecimal digits")

    def choose_names(self, declared: list[str] | None) -> list[str] | None:
        """The configured label names, which may rename those that the data declare; otherwise the latter.

        Raises:
            ValueError: both exist, and differ in number, or have a name in different places.
        """
        names = self.label_names
        if not names or not declared:
            return names or declared
        moved = [name for i, name in enumerate(names) if name in declared and declared.index(name) != i]
        if len(names) != len(declared) or moved:
            raise ValueError(
                f"dataset.label_names={names}: {self.path} declares the labels {declared}; accepted: null, or a new "
                f"name for each of these {len(declared)}, in their order"
            )
        return names

    @property
    def is_pair(self) -> bool:
        return "text_pair" in self.columns

    @property
    def text_columns(self) -> list[str]:
        """The dataset's columns with texts or tokens."""
        return [self.columns[ours] for ours in ("text", "text_pair", "tokens") if ours in self.columns]

    @property
    def list_columns(self) -> set[str]:
        """The dataset's columns with lists."""
        return {self.columns[ours] for ours in ("tokens", "labels", "spans") if ours in self.columns}

    @property
    def lists_by_column(self) -> dict[str, bool]:
        """The dataset's columns, and whether a value of theirs is a list."""
        return {theirs: theirs in self.list_columns for theirs in self.columns.values()}

    @property
    def label_column(self) -> str:
        """The dataset's column with labels, tags or spans."""
        return next(theirs for ours, theirs in self.columns.items() if ours not in ("text", "text_pair", "tokens"))

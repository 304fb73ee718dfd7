"""The labels of a dataset: their names, and the conversion of raw values to label ids."""

import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self
from unicodedata import category, normalize

import numpy as np
import pyarrow.parquet as pq

from unroll.checks import first_names
from unroll.data.raw import plain_values
from unroll.data.source import Source
from unroll.data.spans import span_parts
from unroll.data.tags import OUTSIDE, TagError, TagReader, TagScheme, find_scheme, stripped
from unroll.data.tokens import DeclaredTask, Task

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_TRUTHS = ("false", "true")
_JOINERS = "\u200c\u200d"  # in words of several scripts, and in emoji


class BadRow(ValueError):
    """A row that cannot be used; the message is the reason in the quarantine."""


def is_missing(value: Any) -> bool:
    """Whether a raw label is missing: null, an empty text or NaN."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


class Labels:
    """One label per text, given by its name, by its number from 0, or, for two labels, by False or True.

    If a name is itself a number, as in `["1", "2"]`, numbers are names only, also if one name alone writes them
    otherwise, as in "+1" or "1.0" (but not with leading zeros); likewise False and True, if a name is "false" or
    "true", in any case. White space around names does not matter, nor that whole numbers are floats, as pandas stores
    them beside a missing one.

    Args:
        names: the labels by id; for tags as in the data, those of the attribute `raw_names`.
        is_numbered: the data declare the names, so that all integers are ids.
        is_text: numbers and booleans may be given as text, as in a CSV file.
    """

    task: ClassVar[Task] = "classification"

    def __init__(self, names: list[str], is_numbered: bool = False, is_text: bool = False) -> None:
        self.names = self.raw_names = names
        self._is_numbered, self._is_text = is_numbered, is_text
        self._names = {name: i for i, name in enumerate(names)}
        truths = {name.lower(): i for i, name in enumerate(names) if name.lower() in _TRUTHS}
        self._words = truths | self._names
        by_number: dict[float, list[int]] = {}
        for i, name in enumerate(names):
            if _PLAIN_NUMBER.fullmatch(name):
                by_number.setdefault(float(name), []).append(i)
        self._by_number = {number: ids[0] for number, ids in by_number.items() if len(ids) == 1}
        numbers: dict[str, int] = {}
        if is_numbered or not any(map(_NUMBER.fullmatch, names)):
            numbers = {str(i): i for i in range(len(names))}
        self._numbers, self._values = numbers, numbers | self._words
        if len(names) == 2 and not truths:
            self._values |= {text: self._values[str(i)] for i, text in enumerate(_TRUTHS) if str(i) in self._values}
        self._found: dict[tuple[type, Hashable], int | None] = {}

    @staticmethod
    def of(source: Source, declared: list[str] | None, train: Path, **options: bool) -> "Labels":
        """The declared labels of a dataset, or the sorted distinct values of train; ValueError for unusable ones.

        `options` are those of the constructor, for labels that are no tags.
        """
        kind, accepted = _KINDS[source.task]
        if source.tag_scheme == "none" or "spans" in source.columns:
            accepted = (str, int)
        names = declared or _distinct_names(source, train, accepted, options.get("is_text", False))
        _check_names(source, names)
        if "spans" in source.columns:
            return TagLabels([OUTSIDE, *(f"{prefix}-{name}" for name in names for prefix in "BI")], "iob2")
        return _tag_labels(source, names, train, options) if kind is TagLabels else kind(names, **options)

    @property
    def accepted(self) -> str:
        """The accepted labels, for messages."""
        return first_names(self.names)

    def ids(self, value: Any) -> list[int]:
        """The label ids of a row; BadRow if a value is missing or unknown."""
        return [self.id(value)]

    def array(self, ids: list[list[int]]) -> np.ndarray:
        """The label ids of rows as an array: (N,); (N, L) bool for MultiLabels; (M,) for TagLabels."""
        return np.array([label for row in ids for label in row], np.int64)

    def id(self, value: Any) -> int:
        """The id of a single raw value; see `ids`."""
        found = self.find(value)
        if found is None:
            raise BadRow("missing label" if is_missing(value) else f"unknown label {value!r}")
        return found

    def find(self, value: Any) -> int | None:
        """The id of a single raw value; None if it is missing or unknown."""
        if isinstance(value, float) and value.is_integer() and str(value) not in self._names:
            value = int(value)
        if isinstance(value, float):
            return self._names.get(str(value), self._by_number.get(value))
        if not isinstance(value, str | int):
            return None
        key = type(value), value  # with the type, because True == 1
        if key not in self._found:
            self._found[key] = self._find(value)
        return self._found[key]

    def fresh(self) -> Self:
        """The same labels, which have not looked up any value."""
        labels = copy(self)
        labels._found = {}
        return labels

    @property
    def looked_up(self) -> set[int | str]:
        """The distinct values that were looked up: those that are read as numbers, and other texts."""
        return {self._as_number(kind, str(value).strip()) for kind, value in self._found}

    def _as_number(self, kind: type, text: str) -> int | str:
        is_number = kind is int or (kind is str and self._is_text and re.fullmatch(r"\d{1,9}", text, re.ASCII))
        is_name = text in self._words and not (self._is_numbered and kind is int)
        return int(text) if is_number and not is_name else text

    def check_from_zero(self, values: set[int | str], where: str) -> None:
        """Raise ValueError if values that were `looked_up` count from 1, since each would be the name before its own.

        They do if they contain the number L of L names, but neither 0 nor a name.
        """
        last = len(self.raw_names)
        if self._numbers and last in values and 0 not in values and self._words.keys().isdisjoint(values):
            raise ValueError(
                f"{where} has the label {last}, and none is 0; accepted: numbers from 0 to {last - 1}, in the order of "
                f"the names ({first_names(self.raw_names)}), or the names"
            )

    def _find(self, value: str | int) -> int | None:
        if self._is_numbered and type(value) is int:
            return value if 0 <= value < len(self.names) else None
        known = self._words if isinstance(value, str) and not self._is_text else self._values
        text = str(value) if str(value) in known else str(value).strip()
        if text in known:
            return known[text]
        if type(value) is int:
            return self._by_number.get(value)
        if self._is_text and _PLAIN_NUMBER.fullmatch(text):
            return self.find(float(text)) if "." in text else self._by_number.get(float(text))
        return known.get(text.lower()) if text.lower() in _TRUTHS else None


class MultiLabels(Labels):
    """Any number of labels per text."""

    task = "multilabel"

    def ids(self, value: Any) -> list[int]:
        if value is None:
            raise BadRow("missing labels")
        if not isinstance(value, list):
            raise BadRow(f"labels are not a list but {type(value).__name__}")
        return sorted({self.id(label) for label in value})

    def array(self, ids: list[list[int]]) -> np.ndarray:
        matrix = np.zeros((len(ids), len(self.names)), bool)
        for row, labels in enumerate(ids):
            matrix[row, labels] = True
        return matrix


class PlainTags(Labels):
    """A tag per token, without an inner structure."""

    task: ClassVar[Task] = "tagging"
    scheme: TagScheme = "none"

    def ids(self, value: Any) -> list[int]:
        return [self.id(stripped(tag)) for tag in value]


class TagLabels(PlainTags):
    """A tag per token, in any scheme but `none`; the attribute `names` contains IOB2 tags."""

    task = "labeling"

    def __init__(self, names: list[str], scheme: TagScheme) -> None:
        super().__init__(names)
        self.scheme = scheme
        self._reader = TagReader(names, scheme)
        self.names = self._reader.names
        self._iob2_ids = {name: i for i, name in enumerate(self.names)}

    @property
    def accepted(self) -> str:
        return f"{first_names(self.raw_names)}, read as {self.scheme} (dataset.tag_scheme)"

    def ids(self, value: Any) -> list[int]:
        """The ids of the IOB2 tags of a sentence; BadRow if a tag is unknown or cannot follow the preceding one."""
        tags = [stripped(tag) for tag in value]
        raw = [tag if isinstance(tag, str) else self.raw_names[self.id(tag)] for tag in tags]
        try:
            return [self._iob2_ids[tag] for tag in self._reader.read(raw)]
        except ValueError as error:
            raise BadRow(str(error)) from error


def _check_names(source: Source, names: list[str]) -> None:
    """Raise ValueError for names that look like others: with characters that are not seen, or composed otherwise."""
    where, seen = f"column {source.label_column!r} of {source.path}", dict[str, str]()
    for name in names:
        if any(category(letter) in ("Cc", "Cf") and letter not in _JOINERS for letter in name):
            raise ValueError(f"label {name!r} in {where}; accepted: a name without control or invisible characters")
        same = seen.setdefault(normalize("NFC", name.strip()), name)
        if same is not name:
            raise ValueError(f"labels {same!a} and {name!a} in {where}; accepted: names that look different")


def _tag_labels(source: Source, names: list[str], train: Path, options: dict[str, bool]) -> PlainTags:
    """The tags `names` in the scheme of the dataset, which is found out in train unless `source` names it."""
    names = [name.strip() for name in names]
    column = source.label_column

    def sentences() -> Iterator[list[Any]]:
        for batch in pq.ParquetFile(train).iter_batches(1000, columns=[column]):
            for row in batch[column].to_pylist():
                tags = row if isinstance(row, list) else []
                yield [names[tag] if isinstance(tag, int) and 0 <= tag < len(names) else stripped(tag) for tag in tags]

    scheme = source.tag_scheme or find_scheme(names, sentences())
    try:
        return PlainTags(names, **options) if scheme == "none" else TagLabels(names, scheme)
    except TagError as error:
        row = next((row for row, tags in enumerate(sentences()) if error.tag in tags), None)
        where = "declared, but not in train" if row is None else f"first in row {row} of train"
        raise ValueError(f"column {column!r} of {source.path}: {error}; {where}") from error


# The class for each task, and the types of raw values that need no declared names.
_KINDS: dict[DeclaredTask, tuple[type[Labels], tuple[type, ...]]] = {
    "classification": (Labels, (str, int, bool)),
    "multilabel": (MultiLabels, (str, int)),
    "labeling": (TagLabels, (str,)),
}


def _distinct_names(source: Source, train: Path, accepted: tuple[type, ...], is_text: bool) -> list[str]:
    """The sorted distinct values of the label column, which must have one of the accepted types, as names.

    If `is_text`, the type is that which all values can be read as.
    """
    column = source.label_column
    batches = pq.ParquetFile(train).iter_batches(columns=[column])
    is_list = source.task != "classification"
    values: Iterable[Any] = chain.from_iterable(plain_values(batch[column], is_list) for batch in batches)
    if is_list:
        values = (value for row in values if isinstance(row, list) for value in row)
    if "spans" in source.columns:
        values = map(_span_label, values)
    if source.task == "labeling":
        values = map(stripped, values)
    kinds: set[type] = set()
    names: set[str] = set()
    for value in values:
        if not is_missing(value):
            value = int(value) if isinstance(value, float) and value.is_integer() else value
            kinds.add(type(value))
            names.add(str(value).strip())
    where = f"column {column!r} of {source.path}"
    if list in kinds:
        raise ValueError(
            f"{where} contains lists of labels; accepted: one label per text, or dataset.task=multilabel with the "
            "column as dataset.columns.labels"
        )
    if not names and "spans" not in source.columns:
        what = "list with a label; accepted: lists of labels, written as JSON in a CSV file" if is_list else "label"
        raise ValueError(f"{where} contains no {what}")
    kind = _kind_of_text(names) if is_text and kinds == {str} else str if str in kinds else next(iter(kinds), str)
    if kind is float and all(_PLAIN_NUMBER.fullmatch(name) and float(name).is_integer() for name in names):
        kind, names = int, {str(int(float(name))) for name in names}
    if wrong := (kinds | {kind}) - set(accepted):
        plain = ", dataset.tag_scheme=none for numbers as plain tags" if source.task == "labeling" else ""
        raise ValueError(
            f"{where} contains {' and '.join(sorted(it.__name__ for it in wrong))} labels without names; accepted: a "
            f"ClassLabel feature, {', '.join(it.__name__ for it in accepted)}, names in dataset.label_names{plain}"
        )
    if kind is bool:
        names = {name.lower() for name in names}
    return sorted(names, key=(lambda name: (int(name), name)) if kind is int else None)


def _kind_of_text(texts: set[str]) -> type:
    if all(map(_NUMBER.fullmatch, texts)):
        return float if any("." in text for text in texts) else int
    return bool if {text.lower() for text in texts} <= set(_TRUTHS) else str


def _span_label(span: Any) -> Any:
    """The label of a span, None where it cannot be read, which quarantines its row."""
    with suppress(ValueError):
        label = span_parts(span)[2]
        return label if isinstance(label, Hashable) else None
    return None

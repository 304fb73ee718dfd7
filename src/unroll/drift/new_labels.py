"""The labels of new text, in the names that the prepared data have for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unroll.data.source import Source
from unroll.data.tags import TagReader
from unroll.drift.labels import LabelSet
from unroll.drift.new_text import NewText

_MISSING = (None, "", -1)  # -1 is what `datasets` gives a text without a label


def read_new_labels(new: NewText, path: Path, source: Source, names: list[str]) -> LabelSet | None:
    """The labels of those texts that have usable ones; None where no text has.

    Numbers stand for the names that the file declares, else for those of the dataset, unless they are names
    themselves. A label that `names` lacks is one of its own.

    names: of the prepared data.

    Raises:
        ValueError: labels are of no accepted type, not one is the dataset's, or tags are not in its scheme.
    """
    where = f"{path}, column {source.label_column!r}"
    labels = _usable(new, source)
    if not labels:
        return None
    nested = source.task != "classification"
    values = [value for found in labels for value in found] if nested else labels
    name_of = _name_values(values, _numbered_names(source, names), new.declared_names, where)
    named: list[Any] = [[name_of[value] for value in found] if nested else name_of[found] for found in labels]
    if source.task == "labeling" and "spans" not in source.columns:
        named = _read_tags(named, source, [*name_of.values(), *(_numbered_names(source, names) or [])], where)
        if not named:
            return None
    given = {name for found in named for name in found} if nested else set(named)
    if given and not given & set(names):
        raise ValueError(
            f"{where} has the labels {_shown(given)}, none of which is the dataset's; accepted: {_shown(names)}, their "
            "numbers, or a file without that column"
        )
    return LabelSet.of_names(source.task, names, named)


def _usable(new: NewText, source: Source) -> list[Any]:
    """Without those that are missing."""
    labels = new.labels or []
    if source.task == "classification":
        return [label for label in labels if label not in _MISSING]
    return [label for label in labels if isinstance(label, list)]


def _numbered_names(source: Source, names: list[str]) -> list[str] | None:
    """What numbers stand for; unknown of tags that prepare has turned into IOB2."""
    if source.task == "labeling" and source.tag_scheme != "iob2":
        return source.label_names
    return source.label_names or names


def _name_values(values: list[Any], names: list[str] | None, declared: list[str] | None, where: str) -> dict[Any, str]:
    if wrong := {type(value).__name__ for value in values} - {"str", "int", "bool"}:
        raise ValueError(f"{where} holds {' and '.join(sorted(wrong))}; accepted: names, numbers or booleans")
    distinct = set(values)
    as_names = {value: str(value) for value in distinct}
    if set(names or []) == {"false", "true"}:  # which Python writes as False and True
        as_names = {value: name.lower() for value, name in as_names.items()}
    if declared is None and set(as_names.values()) <= set(names or []):
        return as_names
    by_number = {str(number): name for number, name in enumerate(declared or names or [])}
    as_numbers = {value: str(int(value)) if isinstance(value, bool) else str(value) for value in distinct}
    if set(as_numbers.values()) <= set(by_number):
        return {value: by_number[number] for value, number in as_numbers.items()}
    return as_names


def _read_tags(sentences: list[list[str]], source: Source, names: list[str], where: str) -> list[list[str]]:
    """In IOB2; a sentence whose tags may not follow one another so is left out."""
    try:
        reader = TagReader(dict.fromkeys(names), source.tag_scheme)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    read = []
    for tags in sentences:
        try:
            read.append(reader.read(tags))
        except ValueError:
            continue
    return read


def _shown(names: Iterable[str]) -> str:
    some = list(names) if isinstance(names, list) else sorted(names)
    return ", ".join(some[:10]) + (", …" if len(some) > 10 else "")

"""The distribution of the labels or entities of texts, and the labels in a file of new text."""

from collections.abc import Hashable, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unroll.checks import first_names
from unroll.data.prepare.labels import Labels, MultiLabels, is_missing
from unroll.data.ragged import Ragged
from unroll.data.source import Source
from unroll.data.tags import OUTSIDE, TagError, TagReader, TagScheme, stripped
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.drift.new_text import NewText

NONE = "(none)"  # counts texts without entities or labels
BLOCK = 1 << 20  # number of tokens that are processed at a time
LabelIds = np.ndarray | Ragged  # (N,) ids, (N, L) bool for multilabel, or the ids of the tags of each text


class LabelCounts(NamedTuple):
    """The labels of N texts.

    Attributes:
        texts: the number of texts with each label, tag or entity type. A text with several labels, tokens or entities
            contributes a fraction of 1 for each, because entities of one text are not independent observations.
        amounts: (N,) the number of labels of each text, or its share of tokens in entities.
    """

    texts: dict[str, float]
    amounts: np.ndarray


def count_labels(names: list[str], labels: LabelIds, task: Task = "labeling") -> LabelCounts:
    """Count labels that are given by their position in `names`; the task matters for tags of tokens only."""
    if isinstance(labels, Ragged):
        return _count_tags(names, labels) if task == "tagging" else _count_entities(names, labels)
    if labels.ndim == 1:
        counts = np.bincount(labels, minlength=len(names)).astype(float)
        return LabelCounts(dict(zip(names, counts.tolist(), strict=True)), np.ones(len(labels)))
    amounts = labels.sum(axis=1)
    totals = [(amounts == 0).sum(), *(labels / np.maximum(amounts, 1)[:, None]).sum(axis=0)]
    return LabelCounts(dict(zip([NONE, *names], map(float, totals), strict=True)), amounts)


def _count_entities(names: list[str], labels: Ragged) -> LabelCounts:
    types = list(dict.fromkeys(name[2:] for name in names if name != OUTSIDE))
    type_of = np.array([0 if name == OUTSIDE else types.index(name[2:]) + 1 for name in names])  # 0 for O
    begins = np.array([name.startswith("B-") for name in names])
    totals, inside = np.zeros(len(types) + 1), []
    for tags in labels.blocks(BLOCK):
        kinds, texts = type_of[tags.values], np.repeat(np.arange(len(tags)), tags.lengths)  # (M,)
        previous = np.concatenate([[0], kinds[:-1]])
        previous[tags.offsets[:-1]] = 0
        is_first = (kinds > 0) & (begins[tags.values] | (kinds != previous))  # as in conlleval
        entities = np.bincount(texts[is_first], minlength=len(tags))
        totals += np.bincount(kinds[is_first], 1 / entities[texts[is_first]], minlength=len(totals))
        totals[0] += np.count_nonzero(entities == 0)
        inside.append(Ragged((kinds > 0).astype(np.float64), tags.offsets).sums())
    return LabelCounts(dict(zip([NONE, *types], totals.tolist(), strict=True)), np.concatenate(inside) / labels.lengths)


def _count_tags(names: list[str], labels: Ragged) -> LabelCounts:
    totals = np.zeros(len(names))
    for tags in labels.blocks(BLOCK):
        totals += np.bincount(tags.values, np.repeat(1 / tags.lengths, tags.lengths), minlength=len(names))
    return LabelCounts(dict(zip(names, totals.tolist(), strict=True)), np.ones(len(labels)))


def number_labels(task: Task, names: list[str], values: Sequence[Any]) -> tuple[list[str], LabelIds]:
    """Convert label names, one per text for classification and a list per text otherwise, for `count_labels`.

    Labels that are not in `names` are appended to them.
    """
    ids = {name: i for i, name in enumerate(names)}
    lists = [[value] for value in values] if task == "classification" else values
    rows = [[ids.setdefault(name, len(ids)) for name in row] for row in lists]
    if task in TOKEN_TASKS:
        return list(ids), Ragged.from_sequences(rows, np.int64)
    kind = MultiLabels if task == "multilabel" else Labels
    return list(ids), kind(list(ids)).array(rows)


def read_new_labels(new: NewText, path: Path, source: Source, names: list[str]) -> list[Any]:
    """The names of the labels of each text with usable labels, as for `number_labels`.

    Values are label names, or numbers of the names declared by the file or else by the dataset. Labels that are not
    in `names`, those of the prepared data, are kept unless all labels are such.
    """
    where = f"{path}, column {source.label_column!r}"
    nested = source.task != "classification"
    # `datasets` represents a missing label as -1.
    missing = [value for value in (-1, "-1") if "-1" not in names]
    rows = [
        (label, pieces)
        for label, pieces in zip(new.labels, new.pieces, strict=True)
        if (isinstance(label, list) if nested else not is_missing(label) and label not in missing)
    ]
    if nested:
        rows = [(tags, pieces) for found, pieces in rows if None not in (tags := [stripped(tag) for tag in found])]
    labels = [label for label, _ in rows]
    if not labels:
        return []
    values = [value for found in labels for value in found] if nested else labels
    scheme = source.tag_scheme or "iob2"
    # Prepared tags were converted to IOB2, so they do not show which numbers the tags of another scheme had.
    is_converted = source.task == "labeling" and scheme not in ("iob2", "none")
    numbered = source.label_names or ([] if is_converted else names)
    declared = new.declared_names
    if declared and source.label_names and len(declared) == len(numbered) and set(declared).isdisjoint(numbered):
        declared = numbered  # the dataset's configuration renames what its files declare
    name_of = _name_values(values, numbered, declared, source.label_names is not None, where)
    found = [row[0] if nested else row[:1] for row in rows]
    rows = list(compress(rows, (all(isinstance(it, Hashable) and it in name_of for it in row) for row in found)))
    named: list[Any] = [[name_of[it] for it in label] if nested else name_of[label] for label, _ in rows]
    if source.task == "labeling":
        if "spans" not in source.columns and scheme != "none":
            named = _read_tags(named, scheme, [*numbered, *name_of.values()], where)
        by_row = zip(named, rows, strict=True)
        named = [_of_pieces(tags, counts, scheme) for tags, (_, counts) in by_row if tags is not None]
    given = {name for found in named for name in found} if nested else set(named)
    if given and not given & set(names):
        raise ValueError(
            f"{where} has the labels {first_names(sorted(given))}, none of which is in the dataset; accepted: "
            f"{first_names(names)}, their numbers, or a file without this column"
        )
    return named


def _name_values(
    values: list[Any], names: list[str], declared: list[str] | None, is_configured: bool, where: str
) -> dict[Any, str]:
    """Map each distinct value to a label name, as the prepare stage does; an unknown value is a name of its own.

    Values of other types than those of labels, such as 0.5, are left out.
    """
    labels = Labels(declared or names, is_numbered=declared is not None, is_text=True)
    usable = {value for value in values if isinstance(value, str | int) or labels.find(value) is not None}
    if values and not usable:
        wrong = sorted({type(value).__name__ for value in values})
        raise ValueError(f"{where} contains {' and '.join(wrong)}; accepted: names, numbers or booleans")
    ids = {value: labels.find(value) for value in usable}
    if declared is None and not is_configured and None in ids.values():
        # The dataset may have declared names that are numbers.
        numbered = Labels(names, is_numbered=True, is_text=True)
        by_number = {value: numbered.find(value) for value in ids}
        ids = ids if None in by_number.values() else by_number
    if None in ids.values():
        labels.check_from_zero(labels.looked_up, where)
    return {value: str(value).strip() if i is None else labels.names[i] for value, i in ids.items()}


def _read_tags(sentences: list[list[str]], scheme: TagScheme, names: list[str], where: str) -> list[list[str] | None]:
    """Convert tags to IOB2; a sentence with an invalid sequence, or a tag that is none of the scheme, becomes None.

    Raises:
        ValueError: no sentence can be read.
    """
    known = list(dict.fromkeys(names))
    refused: list[ValueError] = []
    while known:
        try:
            reader = TagReader(known, scheme)
            break
        except TagError as error:
            refused.append(error)
            known.remove(error.tag)
    read: list[list[str] | None] = []
    for tags in sentences:
        try:
            read.append(reader.read(tags))
        except ValueError as error:
            refused.append(error)
            read.append(None)
    if refused and not any(tags is not None for tags in read):
        raise ValueError(f"{where}: {refused[0]}")
    return read


def _of_pieces(tags: list[str], counts: list[int] | None, scheme: TagScheme) -> list[str]:
    """The tags of subwords from those of words, as in the prepared data: the first has the tag of its word."""
    if counts is None:
        return tags
    inner = [tag if scheme == "none" or tag == OUTSIDE else f"I-{tag[2:]}" for tag in tags]
    pairs = zip(tags, inner, counts, strict=True)
    return [it for tag, others, count in pairs for it in [tag, *[others] * (count - 1)]]

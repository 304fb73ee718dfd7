"""Arrow columns: rows of an input, and answers to them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from unroll.data.tokens import Task

BLOCK = 2048  # rows that are in memory as Python objects at once
_TEXTS = pa.list_(pa.string())


class Rows(NamedTuple):
    """Consecutive rows.

    Args:
        columns: in a row that cannot be read, every value is null.
        problems: by position, why a row, or a value of it, could not be read.
        unread: positions of the rows that could not be read at all.
    """

    columns: pa.RecordBatch
    problems: dict[int, str]
    unread: frozenset[int] = frozenset()


def answer_fields(task: Task, label_names: Sequence[str], probabilities: bool) -> dict[str, pa.DataType]:
    """Names and types of the columns for a task; see `Predictor.predict`."""
    by_name = pa.struct([(name, pa.float64()) for name in label_names])
    if task == "classification":
        fields = {"label": pa.string(), "probability": pa.float64()}
        return fields | {"probabilities": by_name} if probabilities else fields
    if task == "multilabel":
        return {"labels": _TEXTS, "probabilities": by_name}
    fields = {"tokens": _TEXTS, "labels": _TEXTS}
    if probabilities:
        fields["probabilities"] = pa.list_(pa.float64())
    if task == "labeling":
        entity = {"type": pa.string(), "text": pa.string(), **dict.fromkeys(("start", "end"), pa.int32())}
        entity |= dict.fromkeys(("start_char", "end_char"), pa.int32())
        fields["entities"] = pa.list_(pa.struct(entity | ({"probability": pa.float64()} if probabilities else {})))
    return fields


def answer_columns(answers: Sequence[dict[str, Any]], fields: dict[str, pa.DataType]) -> list[pa.Array]:
    """One column for each field."""
    return [pa.array([answer[name] for answer in answers], kind) for name, kind in fields.items()]

"""What each test example adds to a score: the labels or entities that are right, found, and there to find."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.tags import spans


def example_counts(predictions: pd.DataFrame, task: str) -> NDArray[np.int64]:
    """(N, 3): right, found and gold of each row of `predictions`, with its columns `label` and `predicted`.

    A text has one label found and one gold (classification), a set of labels (multilabel), or the entities of its
    tags, read as ``conlleval`` does (labeling). :func:`micro_f1` of the counts is then accuracy, micro F1 or entity F1.

    Raises ValueError for another task.
    """
    if task not in _ITEMS:
        raise ValueError(f"task {task!r}: accepted are {', '.join(_ITEMS)}")
    items = _ITEMS[task]
    rows = zip(predictions["label"], predictions["predicted"], strict=True)
    return np.array([_count(items(gold), items(found)) for gold, found in rows], dtype=np.int64).reshape(-1, 3)


def micro_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """2 right / (found + gold) of the examples together, (…, N, 3) → (…,); 0 where nothing is found nor gold."""
    right, found, gold = np.moveaxis(counts.sum(axis=-2), -1, 0)
    return np.asarray(2 * right / np.maximum(found + gold, 1))


def _count(gold: set[Any], found: set[Any]) -> tuple[int, int, int]:
    return len(gold & found), len(found), len(gold)


_ITEMS: dict[str, Callable[[Any], set[Any]]] = {
    "classification": lambda label: {label},
    "labeling": lambda tags: set(spans(tags)),
    "multilabel": set,
}


def counts_of_runs(runs: Sequence[pd.DataFrame], task: str) -> NDArray[np.int64]:
    """(K, N, 3): the counts of K runs of one model."""
    return np.stack([example_counts(predictions, task) for predictions in runs])

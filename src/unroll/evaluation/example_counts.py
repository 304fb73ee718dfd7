"""What each test example adds to a score: how many of its labels or entities are right, found and gold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.tags import Span, spans

# What is compared for each example: a label, the entities, some labels, or the tag of each token.
ITEMS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "classification": lambda label: (label,),
    "labeling": lambda tags: tuple(spans(tags)),
    "multilabel": tuple,
    "tagging": lambda tags: tuple(Span(tag, i, i + 1) for i, tag in enumerate(tags)),
}


def example_counts(predictions: pd.DataFrame, task: str) -> NDArray[np.int64]:
    """Count right, found and gold items of each row, from its `label` and `predicted`; (N, 3).

    A text has one label found and one gold (classification), a set of labels (multilabel), the entities of its tags,
    read as ``conlleval`` does (labeling), or a tag per token (tagging). :func:`unroll.statistics.metrics.micro_f1` of
    the counts is accuracy, micro F1, entity F1 or token accuracy.
    """
    if task not in ITEMS:
        raise ValueError(f"task={task!r}; accepted: {', '.join(ITEMS)}")
    items = (predictions[name].map(ITEMS[task]).map(set) for name in ("label", "predicted"))
    counts = [(len(gold & found), len(found), len(gold)) for gold, found in zip(*items, strict=True)]
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def counts_of_runs(runs: Sequence[pd.DataFrame], task: str) -> NDArray[np.int64]:
    """The (K, N, 3) counts of the predictions of K runs of one model."""
    return np.stack([example_counts(predictions, task) for predictions in runs])


def check_same_examples(models: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    """Raise ValueError unless every model has a run, and all predictions have the same rows and gold labels."""
    for name, runs in models.items():
        if not runs:
            raise ValueError(f"no run of {name} to compare; accepted: one or more")
    examples = {
        name: [(run["row"].tolist(), [np.asarray(label).tolist() for label in run["label"]]) for run in runs]
        for name, runs in models.items()
    }
    reference_name, (reference, *_) = next(iter(examples.items()))
    if not reference[0]:
        raise ValueError("the test split is empty: nothing to compare")
    for name, scored in examples.items():
        if any(rows != reference for rows in scored):
            raise ValueError(
                f"{name} and {reference_name} were not scored on the same test examples in the same order: "
                "evaluate both on the same data"
            )

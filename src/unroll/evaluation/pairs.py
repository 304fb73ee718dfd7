"""All pairs of models, compared on the same test examples."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unroll.evaluation.example_counts import check_same_examples, counts_of_runs
from unroll.evaluation.runs import Run, counts_by_model
from unroll.statistics.comparison import PairedComparison, compare_all, compare_counts, holm

COLUMNS = ["first_score", "second_score", "difference", "low", "high", "p_value"]


def compare_predictions(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], task: str, level: float = 0.05
) -> PairedComparison:
    """Test whether two models differ in accuracy, entity F1 (labeling) or micro F1 (multilabel).

    `first` and `second` are each run's predictions, with the columns row, label and predicted of
    ``predictions.parquet``; ValueError unless all are of the same examples.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    check_same_examples({"first": first, "second": second})
    return compare_counts(counts_of_runs(first, task), counts_of_runs(second, task), task, level)


def compare_pairs(runs: Sequence[Run], models: Sequence[str], level: float) -> pd.DataFrame:
    """A table with one row per pair of models, in their order.

    Columns: first, second, first_score, second_score (means of the main test metric over seeds), difference (first −
    second), low, high (its interval at 1 − `level`), p_value, adjusted_p (by Holm, over all pairs), significant.
    """
    deterministic = {run.model for run in runs if not run.seeded}
    compared = compare_all(counts_by_model(runs, models), runs[0].task, level, deterministic=deterministic)
    rows = [(*pair, *(getattr(found, name) for name in COLUMNS)) for pair, found in compared.items()]
    pairs = pd.DataFrame(rows, columns=["first", "second", *COLUMNS])
    pairs["adjusted_p"] = holm(pairs["p_value"])
    pairs["significant"] = pairs["adjusted_p"] < level
    return pairs


def conclusion(pairs: pd.DataFrame, model: str) -> str:
    """``bilstm is significantly better than lstm and fcnn; it is not significantly different from gru.``"""
    phrases = ("is significantly better than", "is not significantly different from", "is significantly worse than")
    others: dict[str, list[str]] = {phrase: [] for phrase in phrases}
    better, similar, worse = phrases
    pair: Any
    for pair in pairs.itertuples():
        if model in (pair.first, pair.second):
            is_first = model == pair.first
            outcome = better if is_first == (pair.difference > 0) else worse
            others[outcome if pair.significant else similar].append(pair.second if is_first else pair.first)
    parts = [f"{phrase} {enumerate_words(models)}" for phrase, models in others.items() if models]
    return f"{model} {'; it '.join(parts)}."


def enumerate_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)

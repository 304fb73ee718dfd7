"""All pairs of models, compared on the same test examples."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from unroll.evaluation.example_counts import check_same_examples, counts_of_runs
from unroll.evaluation.runs import Run
from unroll.statistics.comparison import PairedComparison, compare_all, holm

COLUMNS = ["first_score", "second_score", "difference", "low", "high", "p_value"]


def compare_predictions(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], task: str, level: float = 0.05, seed: int = 0
) -> PairedComparison:
    """Test whether two models differ in accuracy (classification), entity F1 (labeling) or micro F1 (multilabel).

    Args:
        first, second: the predictions of each run, with the columns row, label and predicted of
            ``predictions.parquet``.
        level: significance level; the interval is at 1 − level.
        seed: of the random swaps, which are used only for F1 with one run of each model.

    Raises:
        ValueError: there is no run or no example, runs were scored on different examples, the task is unknown, or the
            level is outside 0..1.
    """
    return compare_models({"first": first, "second": second}, task, level, seed)["first", "second"]


def compare_models(
    models: Mapping[str, Sequence[pd.DataFrame]],
    task: str,
    level: float = 0.05,
    seed: int = 0,
    deterministic: Collection[str] = (),
) -> dict[tuple[str, str], PairedComparison]:
    """Apply :func:`compare_predictions` to all pairs, in the order of `models`; p-values are not adjusted.

    Args:
        deterministic: models that do not depend on the seed.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    check_same_examples(models)
    counts = {name: counts_of_runs(runs, task) for name, runs in models.items()}
    return compare_all(counts, task, level, seed, deterministic)


def compare_pairs(runs: Sequence[Run], models: Sequence[str], level: float) -> pd.DataFrame:
    """The comparison of all pairs as a table.

    Returns:
        One row per pair: first, second (in the order of ``models``), first_score, second_score (means of the main test
        metric over seeds), difference (first − second), low, high (its interval at 1 − ``level``), p_value, adjusted_p
        (Holm's correction over all pairs), significant.
    """
    predictions = {model: [run.predictions for run in runs if run.model == model] for model in models}
    deterministic = {run.model for run in runs if not run.seeded}
    compared = compare_models(predictions, runs[0].task, level, deterministic=deterministic)
    pairs = pd.DataFrame(
        [(*pair, *(getattr(found, name) for name in COLUMNS)) for pair, found in compared.items()],
        columns=["first", "second", *COLUMNS],
    )
    pairs["adjusted_p"] = holm(pairs["p_value"])
    pairs["significant"] = pairs["adjusted_p"] < level
    return pairs


def standing(pairs: pd.DataFrame, model: str) -> tuple[list[str], list[str], list[str]]:
    """The other models: those significantly worse, not significantly different, and significantly better."""
    worse: list[str] = []
    similar: list[str] = []
    better: list[str] = []
    pair: Any
    for pair in pairs.itertuples():
        if model in (pair.first, pair.second):
            other = pair.second if model == pair.first else pair.first
            lead = pair.difference if model == pair.first else -pair.difference
            (similar if not pair.significant else worse if lead > 0 else better).append(other)
    return worse, similar, better


def conclusion(pairs: pd.DataFrame, model: str) -> str:
    """``bilstm is significantly better than lstm and fcnn; it is not significantly different from gru.``"""
    phrases = ("is significantly better than", "is not significantly different from", "is significantly worse than")
    parts = [
        f"{phrase} {enumerate_words(others)}"
        for phrase, others in zip(phrases, standing(pairs, model), strict=True)
        if others
    ]
    return f"{model} {'; it '.join(parts)}."


def enumerate_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)

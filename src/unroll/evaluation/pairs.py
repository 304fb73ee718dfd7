"""Who beats whom: every two models compared on the same test examples."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from unroll.evaluation.runs import Run
from unroll.evaluation.significance import compare_models, holm

FIGURES = ["first_score", "second_score", "difference", "low", "high", "p_value"]


def compare_pairs(runs: Sequence[Run], models: Sequence[str], level: float) -> pd.DataFrame:
    """One row a pair: first, second (in the order of ``models``), first_score, second_score, difference (first −
    second), low, high (its interval at 1 − ``level``), p_value, adjusted_p (by Holm, over all pairs), significant.

    The scores are means of the main test metric over seeds.
    """
    predictions = {model: [run.predictions for run in runs if run.model == model] for model in models}
    seedless = {run.model for run in runs if not run.seeded}
    compared = compare_models(predictions, runs[0].task, level, seedless=seedless)
    pairs = pd.DataFrame(
        [(*pair, *(getattr(found, name) for name in FIGURES)) for pair, found in compared.items()],
        columns=["first", "second", *FIGURES],
    )
    pairs["adjusted_p"] = holm(pairs["p_value"])
    pairs["significant"] = pairs["adjusted_p"] < level
    return pairs


def standing(pairs: pd.DataFrame, model: str) -> tuple[list[str], list[str], list[str]]:
    """The other models: those that this one beats, those that it cannot be told from, and those that beat it."""
    beaten: list[str] = []
    untold: list[str] = []
    better: list[str] = []
    pair: Any
    for pair in pairs.itertuples():
        if model in (pair.first, pair.second):
            other = pair.second if model == pair.first else pair.first
            ahead = pair.difference if model == pair.first else -pair.difference
            (untold if not pair.significant else beaten if ahead > 0 else better).append(other)
    return beaten, untold, better

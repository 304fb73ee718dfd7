"""The gate: a challenger becomes champion if it is better by a paired test, or cheaper and not worse by a margin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.source import Task
from unroll.evaluation.example_counts import counts_of_runs
from unroll.evaluation.scores import MAIN_METRIC, metric_title
from unroll.evaluation.significance import Comparison, compare_counts, compare_predictions

Cost = Literal["parameters", "training_seconds", "tokens_per_second"]
COSTS: dict[Cost, str] = {
    "parameters": "{:,.0f} parameters",
    "training_seconds": "{:,.0f} s of training",
    "tokens_per_second": "{:,.0f} tokens/s",
}


@dataclass(frozen=True)
class Gate:
    """What a challenger has to show on the test examples.

    Args:
        level: of the paired test by which it has to be better.
        margin: or it may be worse by this much at most, at the lower end of the difference's interval,
        cheaper_by: where its cost is lower by this share at least.
        cost: what counts as its cost.

    Raises:
        ValueError: a number is out of its range.
    """

    level: float
    margin: float
    cheaper_by: float
    cost: Cost

    def __post_init__(self) -> None:
        for name in ("level", "cheaper_by"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: between 0 and 1")
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin={self.margin}; accepted: 0 to below 1")


@dataclass(frozen=True)
class Contender:
    """A version at the gate.

    Args:
        name: what people call it.
        predictions: of the test split, one table a seed.
        cost: the mean over its seeds.
    """

    name: str
    predictions: Sequence[pd.DataFrame]
    cost: float


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes champion, why, and by which figures, where it met a champion of the same data."""

    wins: bool
    reason: str
    figures: dict[str, float]


def decide(challenger: Contender, champion: Contender, task: Task, gate: Gate) -> Decision:
    """Compare the two on the same test examples, all their seeds.

    Raises:
        ValueError: they were not scored on the same examples.
    """
    found = compare_predictions(challenger.predictions, champion.predictions, task, gate.level)
    found = replace(found, **_cautious_interval(challenger.predictions, champion.predictions, task, gate.level))
    is_better = found.p_value < gate.level and found.difference > 0
    is_close = found.low >= -gate.margin
    is_cheaper = _is_cheaper(challenger.cost, champion.cost, gate)
    margin = f"worse by more than {100 * gate.margin:.1f} points"
    costs = f"{COSTS[gate.cost].format(challenger.cost)} against {COSTS[gate.cost].format(champion.cost)}"
    if is_better:
        verdict = f"is better than {champion.name}"
    elif is_close and is_cheaper:
        verdict = f"is not {margin} than {champion.name}, and cheaper ({costs})"
    elif is_close:
        verdict = f"is neither better than {champion.name} nor cheaper ({costs})"
    else:
        verdict = f"is not better than {champion.name}, and may be {margin}"
    figures = {
        "score": found.first_score,
        "champion_score": found.second_score,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "level": gate.level,
        gate.cost: challenger.cost,
        f"champion_{gate.cost}": champion.cost,
    }
    reason = f"{challenger.name} {verdict}: {_figures(found, task, gate)}"
    return Decision(is_better or (is_close and is_cheaper), reason, figures)


def _cautious_interval(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], task: Task, level: float
) -> dict[str, float]:
    """The difference's interval with two examples more, one that each model alone has right (Agresti and Min 2005).

    Models that differ on few examples, or on none, are not proved equal by a test split that is small.
    """
    alone = np.array([[1, 1, 1], [0, 1, 1]])  # right, found and gold, of who has the first of the two right
    counts = (
        _with_examples(counts_of_runs(first, task), alone),
        _with_examples(counts_of_runs(second, task), alone[::-1]),
    )
    found = compare_counts(*counts, task, level)
    return {"low": found.low, "high": found.high}


def _with_examples(counts: NDArray[np.int64], examples: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, N, 3) and (M, 3) → (K, N + M, 3)."""
    return np.concatenate([counts, np.broadcast_to(examples, (len(counts), *examples.shape))], axis=1)


def _is_cheaper(mine: float, theirs: float, gate: Gate) -> bool:
    if gate.cost == "tokens_per_second":
        mine, theirs = 1 / mine, 1 / theirs
    return mine <= (1 - gate.cheaper_by) * theirs


def _figures(found: Comparison, task: Task, gate: Gate) -> str:
    metric = metric_title(f"test/{MAIN_METRIC[task]}", task)
    return (
        f"test {metric} {100 * found.first_score:.2f} % against {100 * found.second_score:.2f} %, a difference of "
        f"{100 * found.difference:+.2f} points ({100 * (1 - gate.level):g} % interval {100 * found.low:+.2f} to "
        f"{100 * found.high:+.2f}), p = {found.p_value:.2g}"
    )

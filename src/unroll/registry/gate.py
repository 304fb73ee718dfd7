"""The gate: a challenger becomes champion if a paired test finds it better, or if it is cheaper and not inferior."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from unroll.data.tokens import Task
from unroll.evaluation.example_counts import check_same_examples, counts_of_runs
from unroll.evaluation.scores import MAIN_METRIC, metric_title
from unroll.statistics.comparison import cautious_interval, compare_counts

Cost = Literal["parameters", "training_seconds", "tokens_per_second"]
COSTS: dict[Cost, str] = {
    "parameters": "{:,.0f} parameters",
    "training_seconds": "{:,.0f} s of training",
    "tokens_per_second": "{:,.0f} tokens/s",
}


@dataclass(frozen=True)
class Gate:
    """The conditions under which a challenger becomes champion.

    Args:
        level: significance level of the paired test for a better score.
        margin: non-inferiority margin: the lower bound of the difference in score must be at least −`margin`, in 0..1.
        cheaper_by: for a challenger that is not inferior, the required relative reduction of the cost.
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


class Contender(NamedTuple):
    """One of the two models that the gate compares."""

    name: str  # in the reason of the decision
    predictions: Sequence[pd.DataFrame]  # for the test split, one table per seed
    cost: float  # mean over the seeds
    device: str = ""  # that the cost was measured on, if it is a time


class Decision(NamedTuple):
    """Whether a version becomes champion, and why; `figures` is empty if there was nothing to compare it with."""

    wins: bool
    reason: str
    figures: dict[str, float]


def decide(challenger: Contender, champion: Contender, task: Task, gate: Gate) -> Decision:
    """Compare two models, with all their seeds, on the test examples, which must be the same."""
    check_same_examples({it.name: it.predictions for it in (challenger, champion)})
    first, second = (counts_of_runs(it.predictions, task) for it in (challenger, champion))
    comparison = compare_counts(first, second, task, gate.level)
    low, high = cautious_interval(first, second, task, gate.level)
    is_better = comparison.p_value < gate.level and comparison.difference > 0
    is_close = low >= -gate.margin
    mine, theirs = challenger.cost, champion.cost
    if gate.cost == "tokens_per_second":  # more is cheaper
        mine, theirs = theirs, mine
    is_same_device = challenger.device == champion.device
    is_cheaper = is_same_device and mine <= (1 - gate.cheaper_by) * theirs
    margin = f"worse by more than {100 * gate.margin:.1f} points"
    costs = " against ".join(
        COSTS[gate.cost].format(it.cost) + (f" on {it.device or 'an unknown device'}" if not is_same_device else "")
        for it in (challenger, champion)
    )
    if not is_same_device:
        costs += ": times of different devices are not compared"
    if is_better:
        verdict = f"is better than {champion.name}"
    elif is_close and is_cheaper:
        verdict = f"is not {margin} than {champion.name}, and cheaper ({costs})"
    elif is_close:
        verdict = f"is neither better than {champion.name} nor cheaper ({costs})"
    else:
        verdict = f"is not better than {champion.name}, and may be {margin}"
    figures = {
        "score": comparison.first_score,
        "champion_score": comparison.second_score,
        "difference": comparison.difference,
        "low": low,
        "high": high,
        "p_value": comparison.p_value,
        "level": gate.level,
        gate.cost: challenger.cost,
        f"champion_{gate.cost}": champion.cost,
    }
    reason = (
        f"{challenger.name} {verdict}: test {metric_title(MAIN_METRIC[task], task)} "
        f"{100 * comparison.first_score:.2f} % against {100 * comparison.second_score:.2f} %, a difference of "
        f"{100 * comparison.difference:+.2f} points ({100 * (1 - gate.level):g} % interval {100 * low:+.2f} to "
        f"{100 * high:+.2f}), p = {comparison.p_value:.2g}"
    )
    return Decision(is_better or (is_close and is_cheaper), reason, figures)

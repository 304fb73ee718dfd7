"""The leaderboard: mean and spread of scores over seeds, costs, and the Pareto front of score and cost."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from unroll.evaluation.runs import Run, counts_by_model
from unroll.evaluation.scores import MAIN_METRIC
from unroll.statistics.comparison import interval_over_examples, interval_over_seeds


class CostColumn(NamedTuple):
    """A cost in the leaderboard: its column there, its title on the page, and which direction is better, as text."""

    column: str
    title: str
    better: str
    more_is_cheaper: bool = False


COSTS = (
    CostColumn("parameters", "parameters", "fewer is better"),
    CostColumn("size_bytes", "size on disk (bytes)", "smaller is better"),
    CostColumn("training_seconds", "training time (s)", "shorter is better"),
    CostColumn("tokens_per_second", "tokens/s", "faster is better", more_is_cheaper=True),
)
TIMED = {"training_seconds": "trained_on", "tokens_per_second": "evaluated_on"}  # the columns of the devices
UNKNOWN = "unknown"  # of earlier versions


def equally_good(board: pd.DataFrame, monitor: str) -> list[str]:
    """The models with the best validation score: several if they are equal."""
    return list(board["model"][board[monitor] == board[monitor].max()])


def leaderboard(runs: Sequence[Run], level: float = 0.05) -> pd.DataFrame:
    """One row per model, best mean validation score first; ties are in order of model size.

    The test score does not rank, so that it remains an unbiased estimate for the selected model.

    Columns: model, seeds (their number), for the validation metric and each test metric the mean and the sample
    standard deviation over seeds (``METRIC_sd``), for the main test metric also Student's interval over seeds at 1 −
    `level`, clipped to 0..1 (``METRIC_low``, ``METRIC_high``), then the columns of COSTS, and the devices (`TIMED`).
    One seed has NaN deviations. Times of different devices are not compared: see `_on_one_device`.
    """
    main, monitor = f"test/{main_metric(runs)}", runs[0].monitor
    costs = [cost.column for cost in COSTS]
    rows = [
        {
            "model": run.model,
            monitor: run.best_score,
            **run.metrics,
            **{it: getattr(run, it) for it in costs},
            "trained_on": run.device or UNKNOWN,
            "evaluated_on": run.evaluated_on or UNKNOWN,
        }
        for run in runs
    ]
    by_model = pd.DataFrame(rows).groupby("model")
    board = pd.DataFrame({"seeds": by_model.size()})
    for name in dict.fromkeys([monitor, main, *runs[0].metrics]):
        # a run that diverged has a NaN score; skipping it would favour its model
        board[name] = by_model[name].mean(skipna=False)
        board[f"{name}_sd"] = by_model[name].std(skipna=False)
        if name == main:
            intervals = by_model[name].apply(lambda seeds: interval_over_seeds(list(seeds), level))
            board[f"{name}_low"], board[f"{name}_high"] = intervals.str[0].clip(0), intervals.str[1].clip(upper=1)
    board = board.join(by_model[["parameters", "size_bytes"]].first())
    board = board.join(by_model[["training_seconds", "tokens_per_second"]].mean())
    board = board.join(by_model[list(TIMED.values())].agg(_names))
    order = [monitor, "parameters", "model"]
    board = board.reset_index().sort_values(order, ascending=[False, True, True], ignore_index=True)
    single = {place: by_model[place].nunique() == 1 for place in TIMED.values()}
    for column, place in TIMED.items():
        board[column] = _on_one_device(board[column], board[place], board["model"].map(single[place]))
    return board


def _names(devices: "pd.Series[str]") -> str:
    return " and ".join(sorted(devices.unique()))


def _on_one_device(times: "pd.Series[float]", devices: "pd.Series[str]", single: "pd.Series[bool]") -> Any:
    """The times of the models that were all on the most frequent device, that of the best one if several are; else NaN.

    The mean over seeds on several devices is none of one device.
    """
    names = devices[single]
    if names.empty:
        return times.where(single)
    most = max(names.unique(), key=names.tolist().count)  # the first of equals
    return times.where(single & (devices == most))


def single_device(board: pd.DataFrame) -> str | None:
    """The device that all models were trained and evaluated on; None if there are several."""
    names = set(board[list(TIMED.values())].to_numpy().ravel())
    return str(names.pop()) if len(names) == 1 else None


def with_intervals_over_texts(board: pd.DataFrame, runs: Sequence[Run], level: float = 0.05) -> pd.DataFrame:
    """Add ``METRIC_texts_low`` and ``_high``: the bootstrap interval of the main test metric over texts, as trained."""
    metric, counts = f"test/{main_metric(runs)}", counts_by_model(runs, board["model"])
    low, high = zip(*(interval_over_examples(of_model, level) for of_model in counts.values()), strict=True)
    return board.assign(**{f"{metric}_texts_low": low, f"{metric}_texts_high": high})


def main_metric(runs: Sequence[Run]) -> str:
    """``accuracy`` for classification and tagging, ``f1`` for the other tasks."""
    return MAIN_METRIC[runs[0].task]


def pareto_front(board: pd.DataFrame, score: str, cost: CostColumn) -> list[str]:
    """The Pareto-optimal models for a score and a cost, cheapest first.

    A model is Pareto-optimal if no other one is better in score or cost and at least as good in the other. A model
    whose score (after a diverged training) or cost is NaN never is.
    """
    prices = -board[cost.column] if cost.more_is_cheaper else board[cost.column]
    front = []
    for model, mine, price in zip(board["model"], board[score], prices, strict=True):
        no_worse = (board[score] >= mine) & (prices <= price)
        better = (board[score] > mine) | (prices < price)
        if pd.notna([mine, price]).all() and not (no_worse & better).any():
            front.append((price, model))
    return [model for _, model in sorted(front)]

"""Models side by side: mean and spread over seeds, and cost."""

from collections.abc import Sequence

import pandas as pd

from unroll.evaluation.runs import Run
from unroll.evaluation.scores import MAIN_METRIC
from unroll.evaluation.significance import interval_over_examples, interval_over_seeds


def leaderboard(runs: Sequence[Run], level: float = 0.05) -> pd.DataFrame:
    """One row a model, best mean validation score first; a tie goes to the smaller model.

    The test score never ranks: whoever picks a model by it has nothing left to test the choice with.
    Columns: model, seeds (how many), then for the validation metric and each test metric its mean and, as
    ``METRIC_sd``, its sample standard deviation over seeds (NaN for one seed), the main test metric also with the
    ends of its interval over seeds at 1 − ``level``, ``METRIC_low`` and ``METRIC_high``, which are cut to 0..1 (NaN
    for one seed); parameters, size_bytes, training_seconds, tokens_per_second.
    """
    main = f"test/{main_metric(runs)}"
    scores = [runs[0].monitor, main, *(name for name in runs[0].metrics if name != main)]
    table = pd.DataFrame(
        [
            {
                "model": run.model,
                run.monitor: run.best_score,
                **run.metrics,
                "parameters": run.parameters,
                "size_bytes": run.size_bytes,
                "training_seconds": run.training_seconds,
                "tokens_per_second": run.tokens_per_second,
            }
            for run in runs
        ]
    )
    by_model = table.groupby("model")
    board = pd.DataFrame({"seeds": by_model.size()})
    for name in scores:
        # a run that diverged scores NaN; leaving it out would flatter its model
        board[name] = by_model[name].mean(skipna=False)
        board[f"{name}_sd"] = by_model[name].std(skipna=False)
        if name == main:
            intervals = by_model[name].apply(lambda seeds: interval_over_seeds(list(seeds), level))
            board[f"{name}_low"], board[f"{name}_high"] = intervals.str[0].clip(0), intervals.str[1].clip(upper=1)
    for name in ("parameters", "size_bytes"):
        board[name] = by_model[name].first()
    for name in ("training_seconds", "tokens_per_second"):
        board[name] = by_model[name].mean()
    return board.reset_index().sort_values(
        [runs[0].monitor, "parameters", "model"], ascending=[False, True, True], ignore_index=True
    )


def with_intervals_over_texts(board: pd.DataFrame, runs: Sequence[Run], level: float = 0.05) -> pd.DataFrame:
    """The leaderboard with two more columns: where these networks' main test metric would be on other texts.

    They are the ends of a bootstrap interval at 1 − ``level``, ``METRIC_texts_low`` and ``METRIC_texts_high``.
    """
    metric = f"test/{main_metric(runs)}"
    predictions = {model: [run.predictions for run in runs if run.model == model] for model in board["model"]}
    intervals = [interval_over_examples(predictions[model], runs[0].task, level) for model in board["model"]]
    low, high = zip(*intervals, strict=True)
    return board.assign(**{f"{metric}_texts_low": low, f"{metric}_texts_high": high})


def main_metric(runs: Sequence[Run]) -> str:
    """``accuracy`` for classification, ``f1`` for the other tasks."""
    return MAIN_METRIC[runs[0].task]

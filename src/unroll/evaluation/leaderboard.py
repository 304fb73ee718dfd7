"""Models side by side: mean and spread over seeds, cost, and scores by text length."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from unroll.evaluation.labeling import entity_f1
from unroll.evaluation.multilabel import label_f1
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import MAIN_METRIC

LENGTH_BUCKETS = 5


def leaderboard(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a model, best mean validation score first; a tie goes to the smaller model.

    The test score never ranks: whoever picks a model by it has nothing left to test the choice with.
    Columns: model, seeds (how many), then for the validation metric and each test metric its mean and, as
    ``METRIC_sd``, its sample standard deviation over seeds (NaN for one seed); parameters,
    training_seconds, tokens_per_second.
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
    board["parameters"] = by_model["parameters"].first()
    board["training_seconds"] = by_model["training_seconds"].mean()
    board["tokens_per_second"] = by_model["tokens_per_second"].mean()
    return board.reset_index().sort_values(
        [runs[0].monitor, "parameters", "model"], ascending=[False, True, True], ignore_index=True
    )


def scores_by_length(runs: Sequence[Run]) -> pd.DataFrame:
    """The main test metric of each model on short, middling and long texts.

    One row a model and bucket: model, length (such as ``4-9``, in tokens), examples, score (mean over
    seeds; NaN where a bucket holds nothing to find). The buckets cut the test split into about equal parts.
    """
    lengths = runs[0].predictions["length"].to_numpy()
    cuts = np.quantile(lengths, np.linspace(0, 1, LENGTH_BUCKETS + 1)[1:-1], method="higher")
    bucket_of = np.searchsorted(np.unique(cuts), lengths, side="right")
    rows = []
    for run in runs:
        for bucket in np.unique(bucket_of):
            inside = bucket_of == bucket
            low, high = lengths[inside].min(), lengths[inside].max()
            rows.append(
                {
                    "model": run.model,
                    "length": f"{low}-{high}" if low < high else f"{low}",
                    "examples": int(inside.sum()),
                    "score": _main_score(run.task, run.predictions[inside]),
                }
            )
    return pd.DataFrame(rows).groupby(["model", "length", "examples"], sort=False, as_index=False).mean()


def main_metric(runs: Sequence[Run]) -> str:
    """``accuracy`` for classification, ``f1`` for the other tasks."""
    return MAIN_METRIC[runs[0].task]


def _main_score(task: str, predictions: pd.DataFrame) -> float:
    gold, predicted = predictions["label"], predictions["predicted"]
    if task == "labeling":
        return entity_f1(gold, predicted)
    if task == "multilabel":
        return label_f1(gold, predicted)
    return float((gold == predicted).mean())

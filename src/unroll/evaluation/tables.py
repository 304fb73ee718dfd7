"""The report's tables: rows of text, ready to print."""

from collections.abc import Sequence

import pandas as pd

from unroll.evaluation.leaderboard import main_metric, scores_by_length
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.pages.page import Table


def leaderboard_table(board: pd.DataFrame, task: str) -> Table:
    """Every score of the leaderboard as mean ± sd, then the costs."""
    metrics = [name for name in board.columns if f"{name}_sd" in board.columns]
    header = ["model", "seeds", *(_score_header(name, task) for name in metrics)]
    rows = [
        [
            row["model"],
            str(row["seeds"]),
            *(score_text(name, row[name], row[f"{name}_sd"]) for name in metrics),
            f"{row['parameters']:,}",
            duration_text(row["training_seconds"]),
            f"{row['tokens_per_second']:,.0f}",
        ]
        for _, row in board.iterrows()
    ]
    return Table("Models, mean ± sd over seeds", [*header, "parameters", "training time", "tokens/s"], rows)


def seed_table(runs: Sequence[Run], models: Sequence[str]) -> Table:
    """One row a run."""
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    header = ["model", "seed", _score_header(monitor, task), _score_header(metric, task)]
    rows = [
        [
            run.model,
            str(run.seed),
            score_text(monitor, run.best_score),
            score_text(metric, run.metrics[metric]),
            f"{run.best_epoch} of {run.epochs}",
            duration_text(run.training_seconds),
            run.run_id,
        ]
        for run in sorted(runs, key=lambda run: (models.index(run.model), run.seed))
    ]
    return Table("One row a run", [*header, "best epoch", "training time", "MLflow run"], rows)


def length_table(runs: Sequence[Run], models: Sequence[str]) -> Table:
    """Models against length buckets."""
    scores = scores_by_length(runs)
    metric = f"test/{main_metric(runs)}"
    buckets = scores[["length", "examples"]].drop_duplicates()
    header = [f"{length} tokens (n={examples:,})" for length, examples in buckets.itertuples(index=False)]
    rows = [
        [model, *(score_text(metric, score) for score in scores.loc[scores["model"] == model, "score"])]
        for model in models
    ]
    return Table(f"{_score_header(metric, runs[0].task)} by text length", ["model", *header], rows)


def class_table(runs: Sequence[Run], model: str) -> Table:
    """Precision, recall and F1 of each label or entity type, mean over the model's seeds."""
    classes = pd.concat([run.classes for run in runs if run.model == model])
    means = classes.groupby("label", sort=False).mean()
    rows = [
        [
            str(label),
            *(score_text(name, row[name]) for name in ("precision", "recall", "f1")),
            f"{row['support']:,.0f}",
        ]
        for label, row in means.iterrows()
    ]
    first = "entity type" if runs[0].task == "labeling" else "label"
    return Table(f"{model}, by {first}", [first, "precision (%)", "recall (%)", "F1 (%)", "in the test split"], rows)


def decision_table(confusion: pd.DataFrame, model: str) -> Table:
    """How often each label was given and withheld, rightly and wrongly."""
    rows = [[str(label), *(f"{count:,}" for count in counts)] for label, *counts in confusion.itertuples()]
    return Table(f"{model}, decisions by label", ["label", *confusion.columns], rows)


def score_text(metric: str, mean: float, sd: float = float("nan")) -> str:
    """``91.23 ± 0.41`` in per cent (a loss as it is); without the spread, or a dash, where there is none."""
    scale, digits = (1, 3) if metric.endswith("loss") else (100, 2)
    if pd.isna(mean):
        return "–"
    spread = "" if pd.isna(sd) else f" ± {scale * sd:.{digits}f}"
    return f"{scale * mean:.{digits}f}{spread}"


def duration_text(seconds: float) -> str:
    """Seconds below a minute, then minutes and seconds, then hours and minutes."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _score_header(metric: str, task: str) -> str:
    split = "validation" if metric.startswith("val/") else "test"
    unit = "" if metric.endswith("loss") else " (%)"
    return f"{split} {metric_title(metric, task)}{unit}"

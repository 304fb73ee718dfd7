"""The tables of the report, as text."""

from collections.abc import Mapping, Sequence

import pandas as pd

from unroll.evaluation.leaderboard import TIMED, UNKNOWN, main_metric, single_device
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import Slices
from unroll.pages.formats import duration_text, interval_text, part_text, score_text, size_text, speed_text
from unroll.pages.page import Cell, Table


def leaderboard_table(board: pd.DataFrame, letters: dict[str, str], runs: Sequence[Run], confidence: str) -> Table:
    """Scores, intervals of this `confidence`, letters of significance, costs, and the devices if they differ."""
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    header = ["model", "seeds", _score_header(monitor, task), _score_header(metric, task)]
    header += [f"{confidence} interval, other seeds", f"{confidence} interval, other texts", "letters"]
    header += ["parameters", "on disk", "training time", "tokens/s"]
    places = [] if single_device(board) else list(TIMED.values())
    header += [place.replace("_", " ") for place in places]
    rows = [
        [
            row["model"],
            Cell(str(row["seeds"]), row["seeds"]),
            _score(monitor, row),
            _score(metric, row),
            _interval(row, metric),
            _interval(row, f"{metric}_texts"),
            letters[row["model"]],
            Cell(f"{row['parameters']:,}", row["parameters"]),
            Cell(size_text(row["size_bytes"]), row["size_bytes"]),
            Cell(duration_text(row["training_seconds"]), row["training_seconds"]),
            Cell(speed_text(row["tokens_per_second"]), row["tokens_per_second"]),
            *(row[place] for place in places),
        ]
        for _, row in board.iterrows()
    ]
    return Table("Models, mean ± standard deviation over seeds", header, rows)


def other_scores_table(board: pd.DataFrame, shown: Sequence[str], task: str) -> Table:
    """The test scores that are not among those already `shown`."""
    metrics = [name for name in board.columns if f"{name}_sd" in board.columns and name not in shown]
    rows = [[row["model"], *(_score(name, row) for name in metrics)] for _, row in board.iterrows()]
    header = ["model", *(_score_header(name, task) for name in metrics)]
    return Table("Other test scores, mean ± standard deviation over seeds", header, rows)


def seed_table(runs: Sequence[Run], models: Sequence[str], links: Mapping[str, str]) -> Table:
    """One row per run. links: addresses of runs in MLflow, by run id."""
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    header = ["model", "seed", _score_header(monitor, task), _score_header(metric, task)]
    rows: list[list[str | Cell]] = [
        [
            run.model,
            str(run.seed),
            score_text(monitor, run.best_score),
            score_text(metric, run.metrics[metric]),
            f"{run.best_epoch} of {run.epochs}",
            duration_text(run.training_seconds),
            run.device or UNKNOWN,
            Cell(run.run_id, address=links.get(run.run_id)),
        ]
        for run in sorted(runs, key=lambda run: (models.index(run.model), run.seed))
    ]
    return Table("One row per run", [*header, "best epoch", "training time", "trained on", "MLflow run"], rows)


def label_table(slices: Slices, models: Sequence[str], kind: str) -> Table | None:
    """Labels, tags or entity types against models, since labels may be many; None for a single label."""
    by_label = slices.scores.loc[list(models)].T.itertuples(name=None)
    rows = [
        [str(label), f"{size:,}", *(part_text(score, size) for score in row)]
        for (label, *row), size in zip(by_label, slices.sizes, strict=True)
    ]
    return Table(f"F1 (%) by {kind}", [kind, "in the test split", *models], rows) if len(rows) > 1 else None


def slices_table(slices: Slices, models: Sequence[str], caption: str, unit: str = "") -> Table | None:
    """Models against parts of the test split, with the size of each part; None for a single part."""
    header = [f"{part}{unit} (n={size:,})" for part, size in slices.sizes.items()]
    scores = slices.scores.loc[list(models)].itertuples(name=None)
    rows = [[str(model), *map(part_text, row, slices.sizes)] for model, *row in scores]
    return Table(caption, ["model", *header], rows) if len(header) > 1 else None


def class_table(runs: Sequence[Run], model: str, kind: str) -> Table:
    """Precision, recall and F1 of each label, tag or entity type, means over the model's seeds."""
    classes = pd.concat([run.classes for run in runs if run.model == model])
    means = classes.groupby("label", sort=False)[["precision", "recall", "f1", "support"]].mean()
    rows = [
        [label, *(part_text(score, support) for score in scores), f"{support:,.0f}"]
        for label, *scores, support in means.itertuples(name=None)
    ]
    return Table(f"{model}, by {kind}", [kind, "precision (%)", "recall (%)", "F1 (%)", "in the test split"], rows)


def decision_table(confusion: pd.DataFrame, model: str) -> Table:
    """True and false positives and negatives of each label."""
    rows = [[str(label), *(f"{count:,}" for count in counts)] for label, *counts in confusion.itertuples()]
    return Table(f"{model}, decisions by label", ["label", *confusion.columns], rows)


def _interval(row: pd.Series, name: str) -> Cell:
    return Cell(interval_text(row[f"{name}_low"], row[f"{name}_high"]), row[f"{name}_low"])


def _score(metric: str, row: pd.Series) -> Cell:
    return Cell(score_text(metric, row[metric], row[f"{metric}_sd"]), row[metric])


def _score_header(metric: str, task: str) -> str:
    split = "validation" if metric.startswith("val/") else "test"
    return f"{split} {metric_title(metric, task)}{'' if metric.endswith('loss') else ' (%)'}"

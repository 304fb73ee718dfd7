"""The comparison of a dataset's runs: ``leaderboard.csv`` and one self-contained page, ``index.html``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from unroll.evaluation import figures, tables
from unroll.evaluation.leaderboard import leaderboard, main_metric
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.files import write_text
from unroll.pages.drawing import inline_svg
from unroll.pages.page import Table, render


def write_report(runs: Sequence[Run], folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``index.html`` into ``folder``; the same runs give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    board = leaderboard(runs)
    write_text(folder / "leaderboard.csv", board.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "index.html", _page(runs, board))


def _page(runs: Sequence[Run], board: pd.DataFrame) -> str:
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    models = list(board["model"])
    winner = board.iloc[0]
    return render(
        Path(__file__).with_name("report.html.j2"),
        dataset=runs[0].dataset,
        task=task,
        metric=metric_title(metric, task),
        winner=models[0],
        winner_seeds=int(winner["seeds"]),
        winner_validation=tables.score_text(monitor, winner[monitor]),
        winner_test=tables.score_text(metric, winner[metric], winner[f"{metric}_sd"]),
        leaderboard=tables.leaderboard_table(board, task),
        seeds=tables.seed_table(runs, models),
        lengths=tables.length_table(runs, models),
        classes=tables.class_table(runs, models[0]),
        score_figure=inline_svg(figures.score_figure(runs), "scores", "Test score of each model"),
        length_figure=inline_svg(figures.length_figure(runs), "lengths", "Test score by text length"),
        curve_figure=inline_svg(figures.learning_curve_figure(runs), "curves", "Validation score by epoch"),
        confusions={model: _confusion(runs, model, f"confusion-{place}") for place, model in enumerate(models)},
    )


def _confusion(runs: Sequence[Run], model: str, name: str) -> Markup | Table:
    """A picture; or a table for multilabel, where no label is taken for another."""
    total = _total_confusion(runs, model)
    if runs[0].task == "multilabel":
        return tables.decision_table(total, model)
    return inline_svg(figures.confusion_figure(total), name, f"Confusion matrix of {model}")


def _total_confusion(runs: Sequence[Run], model: str) -> pd.DataFrame:
    first, *others = [run.confusion for run in runs if run.model == model]
    for confusion in others:
        first = first + confusion
    return first

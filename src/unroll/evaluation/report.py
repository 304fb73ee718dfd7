"""The comparison of a dataset's runs: ``leaderboard.csv`` and one self-contained page, ``index.html``."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from unroll.evaluation import figures, tables
from unroll.evaluation.leaderboard import leaderboard, main_metric
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.files import write_text


def write_report(runs: Sequence[Run], folder: Path) -> None:
    """Write ``leaderboard.csv`` and ``index.html`` into ``folder``; the same runs give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    board = leaderboard(runs)
    write_text(folder / "leaderboard.csv", board.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "index.html", _page(runs, board))


def _page(runs: Sequence[Run], board: pd.DataFrame) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    models = list(board["model"])
    winner = board.iloc[0]
    return environment.get_template("report.html.j2").render(
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
        confusion_figures={
            model: inline_svg(
                figures.confusion_figure(_total_confusion(runs, model)),
                f"confusion-{place}",
                f"Confusion matrix of {model}",
            )
            for place, model in enumerate(models)
        },
    )


@rc_context(figures.STYLE)
def inline_svg(figure: Figure, name: str, title: str) -> Markup:
    """Draw a figure as an SVG element that inherits the page's text colour.

    name: unique on the page; it prefixes the element ids, which would clash between pictures.
    """
    buffer = io.StringIO()
    undated = dict.fromkeys(["Date", "Creator", "Format", "Type"])
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Title": title, **undated})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg ") :].replace(figures.INK, "currentColor")
    for reference in (' id="', 'href="#', "url(#"):
        svg = svg.replace(reference, f"{reference}{name}-")
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1))


def _total_confusion(runs: Sequence[Run], model: str) -> pd.DataFrame:
    first, *others = [run.confusion for run in runs if run.model == model]
    for confusion in others:
        first = first + confusion
    return first

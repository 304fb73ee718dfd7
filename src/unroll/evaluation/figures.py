"""Figures of runs, without pyplot's global state, and descriptions of their content as text alternatives."""

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from unroll.evaluation.leaderboard import COSTS, leaderboard, main_metric, pareto_front
from unroll.evaluation.pairs import enumerate_words
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import Slices
from unroll.pages.drawing import (
    COLORS,
    EDGE,
    INK,
    LINE,
    NUMBERS,
    STYLE,
    TICK,
    WIDTH,
    legend_rows,
    mark_percent,
    set_margins,
    shorten,
    width_of,
)
from unroll.pages.formats import part_text, score_text

LEGEND = 0.19  # inches of a row of a legend
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":")

COUNTED_LABELS = 20  # a larger confusion matrix has no room for its counts
NAMED_ERRORS = 3  # in the description of a confusion matrix
SEED_OFFSETS = 0.24, 0.40  # of the first and the last seed below the mean, so that equal scores are drawn apart


@rc_context(STYLE)
def learning_curve_figure(runs: Sequence[Run]) -> Figure:
    """Validation score by epoch: mean over seeds and a band of one standard deviation to either side.

    Curves end with the shortest training, since longer ones are not a representative sample of seeds. Models that are
    fitted in a single epoch have no curve.
    """
    monitor = runs[0].monitor
    figure = Figure(figsize=(WIDTH, 3))
    axes = figure.add_subplot()
    for model, style in model_styles(runs).items():
        histories = [run.history.set_index("epoch")[monitor] for run in runs if run.model == model]
        if max(map(len, histories)) == 1:
            continue
        by_seed = pd.concat(histories, axis="columns", join="inner")  # the epochs that all have
        mean, sd = by_seed.mean(axis="columns"), by_seed.std(axis="columns")
        axes.plot(mean.index, mean, label=shorten(model), markersize=3, **style)
        low, high = (mean - sd).clip(lower=0), (mean + sd).clip(upper=1)
        axes.fill_between(mean.index, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set(xlabel="epoch", ylabel=_score_label("validation", runs))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    mark_percent(axes, "y")
    _add_legend(figure, axes)
    return figure


@rc_context(STYLE)
def score_figure(runs: Sequence[Run], board: pd.DataFrame) -> Figure:
    """Main test metric of each model, best validation score on top: mean, any interval over texts, and every seed."""
    metric, styles = f"test/{main_metric(runs)}", model_styles(runs)
    figure = Figure(figsize=(WIDTH, 1 + 0.36 * len(board)))
    axes = figure.add_subplot()
    for line, (_, row) in enumerate(board.iterrows()):
        style = styles[row["model"]] | {"linestyle": "none"}
        scores = [run.metrics[metric] for run in sorted(runs, key=lambda run: run.seed) if run.model == row["model"]]
        ends = row[metric] - row[f"{metric}_texts_low"], row[f"{metric}_texts_high"] - row[metric]
        reach = [[max(0.0, float(np.nan_to_num(end)))] for end in ends]
        axes.errorbar(row[metric], line, xerr=reach, markersize=5.5, elinewidth=2.5, zorder=3, **style)
        offsets = np.linspace(*SEED_OFFSETS, len(scores))
        axes.scatter(scores, line + offsets, s=9, color=style["color"], edgecolor=INK, linewidth=0.4, zorder=4)
    axes.set(xlabel=_score_label("test", runs))
    axes.set_yticks(range(len(board)), [shorten(model) for model in board["model"]])
    axes.set_ylim(len(board) - 0.5, -0.5)
    mark_percent(axes, "x")
    axes.grid(visible=False, axis="y")
    names = width_of(shorten(model) for model in board["model"])
    set_margins(figure, EDGE + names + TICK, EDGE + 2 * LINE + TICK, NUMBERS / 2)
    return figure


@rc_context(STYLE)
def length_figure(runs: Sequence[Run], slices: Slices) -> Figure:
    """Main test metric of each model against the number of tokens, mean over seeds."""
    figure = Figure(figsize=(WIDTH, 3))
    axes = figure.add_subplot()
    for model, style in model_styles(runs).items():
        axes.plot(range(len(slices.sizes)), slices.scores.loc[model], label=shorten(model), markersize=5, **style)
    axes.set(xlabel="tokens", ylabel=_score_label("test", runs))
    axes.set_xticks(range(len(slices.sizes)), slices.sizes.index)
    mark_percent(axes, "y")
    _add_legend(figure, axes)
    return figure


@rc_context(STYLE)
def cost_figure(runs: Sequence[Run]) -> Figure:
    """Validation score against each cost; a line joins the Pareto-optimal models, and the others are half filled.

    Ticks are at the cheapest and the most expensive model. The validation score is shown, since models must not be
    selected by the test score.
    """
    board, monitor, styles = leaderboard(runs), runs[0].monitor, model_styles(runs)
    figure = Figure(figsize=(WIDTH, 4.4))
    grid = figure.subplots(2, 2, sharey=True)
    for axes, cost in zip(grid.flat, COSTS, strict=True):
        front = board.set_index("model").loc[pareto_front(board, monitor, cost)]
        axes.step(front[cost.column], front[monitor], where="post", color=INK, linewidth=0.8, alpha=0.6)
        for model, price, score in zip(board["model"], board[cost.column], board[monitor], strict=True):
            fill = {"fillstyle": "full" if model in front.index else "bottom", "markerfacecoloralt": "none"}
            style = styles[model] | {"linestyle": "none"} | fill
            axes.plot(price, score, label=shorten(model), markersize=6, **style)
        ends = board[cost.column].agg(["min", "max"]).dropna().unique()
        axes.set_xscale("log" if (ends > 0).all() else "symlog")
        axes.set_xticks(ends, minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(_thousands)
        axes.margins(0.15)
        axes.set_xlabel(f"{cost.title}\n" + (f"{cost.better} →" if cost.more_is_cheaper else f"← {cost.better}"))
    for axes in grid.flat:  # the last of them has widened the axis that they share
        mark_percent(axes, "y")
    _add_legend(figure, grid[0, 0], x_lines=2, between=(0.3, 3 * LINE + TICK + 0.15), right=0.2)
    figure.supylabel(_score_label("validation", runs), fontsize="medium", x=EDGE / WIDTH, ha="left")
    return figure


@rc_context(STYLE)
def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Gold labels in rows, predicted ones in columns; the colour is the share of the gold label."""
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [shorten(str(name)) for name in confusion.columns]
    counted = len(names) <= COUNTED_LABELS
    cell, font_size = (0.45, 8) if counted else (0.15, 6)
    side = max(1.4, cell * len(names))
    margin = EDGE + LINE + width_of(names, font_size) + TICK
    beside = 0.05 * side  # the bar of the shades is as wide as its distance
    right = 2 * beside + TICK + NUMBERS + LINE + 2 * EDGE
    figure = Figure(figsize=(margin + side + right, margin + side + 1.5 * LINE))
    axes = figure.add_subplot()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font_size)
    axes.set_yticks(range(len(names)), names, fontsize=font_size)
    axes.set(title="Confusion matrix", xlabel="predicted", ylabel="gold")
    axes.grid(visible=False)
    if counted:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=color)
    set_margins(figure, margin, margin, right, top=1.5 * LINE)
    shades = axes.inset_axes((1.05, 0, 0.05, 1))
    bar = figure.colorbar(picture, shades, label="share of the gold label (%)", format=PercentFormatter(1, symbol=None))
    bar.outline.set_visible(False)
    return figure


def model_styles(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line style of each model, the same in every figure of these runs.

    Marker edges have the colour of the text, since two of the colours are too light for white paper.
    """
    return {
        model: {
            "color": COLORS[index % len(COLORS)],
            "marker": MARKERS[index % len(MARKERS)],
            "markeredgecolor": INK,
            "markeredgewidth": 0.6,
            "linestyle": LINES[index // len(COLORS) % len(LINES)],
        }
        for index, model in enumerate(sorted({run.model for run in runs}))
    }


def _score_label(split: str, runs: Sequence[Run]) -> str:
    return f"{split} {metric_title(main_metric(runs), runs[0].task)} (%)"


def _thousands(value: float, _: int) -> str:
    """``0.5``, ``38.2``, ``174.5k``, ``2.3M``."""
    return f"{value:.3g}" if value < 1000 else EngFormatter(places=1, sep="")(value)


def _add_legend(
    figure: Figure, axes: Axes, x_lines: int = 1, between: tuple[float, float] = (0, 0), right: float = NUMBERS / 2
) -> None:
    """Add a legend below the axes, with filled markers, make the figure taller by its rows, and set the margins.

    Args:
        x_lines: lines of the name of the horizontal axis.
        between: columns and rows of axes, in inches.
        right: inches, for the half of a mark at the end of an axis.
    """
    handles, names = axes.get_legend_handles_labels()
    columns, rows = legend_rows(names)
    figure.set_figheight(figure.get_figheight() + LEGEND * rows)
    legend = figure.legend(handles, names, loc="lower center", ncols=columns, borderaxespad=0.2)
    for line in legend.get_lines():
        line.set_fillstyle("full")
    bottom = EDGE + LEGEND * rows + LINE * (x_lines + 1.5) + TICK
    set_margins(figure, EDGE + LINE + NUMBERS + TICK, bottom, right, top=LINE / 2, between=between)


def describe_scores(board: pd.DataFrame, metric: str) -> str:
    """The test scores, in the order of the figure."""
    scores = [f"{row['model']} {score_text(metric, row[metric], row[f'{metric}_sd'])}" for _, row in board.iterrows()]
    return f"From top to bottom, in per cent: {', '.join(scores)}."


def fronts_in_words(board: pd.DataFrame, monitor: str) -> list[tuple[str, str]]:
    """Each cost and its Pareto-optimal models, cheapest first."""
    return [(cost.title, enumerate_words(pareto_front(board, monitor, cost)) or "none") for cost in COSTS]


def describe_costs(board: pd.DataFrame, monitor: str) -> str:
    fronts = "; ".join(f"by {cost}: {models}" for cost, models in fronts_in_words(board, monitor))
    return f"Four panels with one point per model. Pareto-optimal {fronts}."


def describe_lengths(slices: Slices) -> str:
    """Each model's score on the shortest and the longest texts."""
    first, last = slices.sizes.index[0], slices.sizes.index[-1]
    lines = [
        f"{model} {' and '.join(part_text(row[part], slices.sizes[part]) for part in (first, last))}"
        for model, row in slices.scores.iterrows()
    ]
    return f"In per cent, on texts of {first} and of {last} tokens: {', '.join(lines)}."


def describe_curves(runs: Sequence[Run], models: Sequence[str]) -> str:
    """Each model's score at the first and at the best epoch, means over its seeds."""
    lines = []
    for model in models:
        curves = [run for run in runs if run.model == model and len(run.history) > 1]
        if curves:
            first = mean(run.history[run.monitor].iloc[0] for run in curves)
            best = mean(run.best_score for run in curves)
            lines.append(f"{model} from {score_text('score', first)} to {score_text('score', best)}")
    return f"In per cent, from the first epoch to the best: {', '.join(lines)}."


def describe_confusion(confusion: pd.DataFrame) -> str:
    """How many predictions are right, and the most frequent errors."""
    counts = confusion.to_numpy()
    errors = counts - np.diag(np.diag(counts))
    named = [
        f"{confusion.index[gold]} predicted as {confusion.columns[found]} ({errors[gold, found]:,})"
        for gold, found in np.argwhere(errors)[np.argsort(-errors[errors > 0], kind="stable")][:NAMED_ERRORS]
    ]
    right = f"{np.trace(counts):,} of {counts.sum():,} are right"
    return f"{right}; most frequent errors: {enumerate_words(named)}." if named else f"{right}."

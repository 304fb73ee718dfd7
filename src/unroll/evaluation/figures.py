"""Pictures of runs. Each function returns a free-standing Figure: pyplot's global state is never touched."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from unroll.evaluation.leaderboard import leaderboard, main_metric
from unroll.evaluation.pareto import COSTS, pareto_front
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import Slices
from unroll.pages.drawing import COLORS, INK, STYLE, WIDTH, shorten

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":")

COUNTED_LABELS = 20  # a larger confusion matrix has no room for its counts


@rc_context(STYLE)
def learning_curve_figure(runs: Sequence[Run]) -> Figure:
    """Validation score by epoch: mean over seeds, as far as all of them were trained, in a band of one sd.

    Seeds that train on are no fair sample of a model's. One that is fitted at once, in one epoch, has no curve.
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
        axes.fill_between(mean.index, mean - sd, mean + sd, color=style["color"], alpha=0.15, linewidth=0)
    axes.set(title="Learning curves", xlabel="epoch", ylabel=_score_label("validation", runs))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(_percent())
    _add_legend(figure, axes)
    return figure


@rc_context(STYLE)
def score_figure(runs: Sequence[Run]) -> Figure:
    """Main test metric of each model, best validation score on top: every seed, their mean and one sd."""
    metric = f"test/{main_metric(runs)}"
    board, styles = leaderboard(runs), model_styles(runs)
    figure = Figure(figsize=(WIDTH, 1.2 + 0.4 * len(board)))
    axes = figure.add_subplot()
    for place, (_, row) in enumerate(board.iterrows()):
        style = styles[row["model"]]
        scores = [run.metrics[metric] for run in runs if run.model == row["model"]]
        axes.errorbar(row[metric], place, xerr=np.nan_to_num(row[f"{metric}_sd"]), markersize=6, **style)
        axes.scatter(scores, [place] * len(scores), s=90, marker="|", color=style["color"])
    axes.set(title="Test scores", xlabel=_score_label("test", runs))
    axes.set_yticks(range(len(board)), [shorten(model) for model in board["model"]])
    axes.set_ylim(len(board) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(_percent())
    axes.grid(visible=False, axis="y")
    return figure


@rc_context(STYLE)
def length_figure(runs: Sequence[Run], slices: Slices) -> Figure:
    """Main test metric of each model against the number of tokens, mean over seeds."""
    figure = Figure(figsize=(WIDTH, 3))
    axes = figure.add_subplot()
    for model, style in model_styles(runs).items():
        axes.plot(range(len(slices.sizes)), slices.scores.loc[model], label=shorten(model), markersize=5, **style)
    axes.set(title="Scores by length", xlabel="tokens", ylabel=_score_label("test", runs))
    axes.set_xticks(range(len(slices.sizes)), slices.sizes.index)
    axes.yaxis.set_major_formatter(_percent())
    _add_legend(figure, axes)
    return figure


@rc_context(STYLE)
def cost_figure(runs: Sequence[Run]) -> Figure:
    """Validation score against each cost, cheap models on the left; a line joins those on the Pareto front.

    The others are but half filled; ticks stand at the cheapest and the dearest. The score is that of validation, since
    a person who picks a model from the picture must not do so by test.
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
        axes.set_xlabel(cost.title)
        axes.yaxis.set_major_formatter(_percent())
        if cost.more_is_cheaper:
            axes.invert_xaxis()
    grid[0, 0].set_title("Score against cost")
    figure.supylabel(_score_label("validation", runs), fontsize="medium")
    _add_legend(figure, grid[0, 0])
    return figure


@rc_context(STYLE)
def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Gold labels in rows, predicted ones in columns; coloured by the share of the gold label."""
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [shorten(str(name)) for name in confusion.columns]
    counted = len(names) <= COUNTED_LABELS
    cell, font_size = (0.45, 8) if counted else (0.15, 6)
    side = max(1.4, cell * len(names))
    margin = font_size / 130 * max(map(len, names))  # inches that the longest name takes
    # "compressed" keeps the axis labels inside the picture when the cells are square
    figure = Figure(figsize=(side + margin + 1.6, side + margin + 0.8), layout="compressed")
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
    bar = figure.colorbar(picture, label="share of the gold label (%)", format=_percent(), fraction=0.05)
    bar.outline.set_visible(False)
    return figure


def model_styles(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each model, the same in every picture of these runs.

    The markers' edges are as dark as the text: two of the colours are too light for white paper.
    """
    models = sorted({run.model for run in runs})
    return {
        model: {
            "color": COLORS[index % len(COLORS)],
            "marker": MARKERS[index % len(MARKERS)],
            "markeredgecolor": INK,
            "markeredgewidth": 0.6,
            "linestyle": LINES[index // len(COLORS) % len(LINES)],
        }
        for index, model in enumerate(models)
    }


def _score_label(split: str, runs: Sequence[Run]) -> str:
    return f"{split} {metric_title(main_metric(runs), runs[0].task)} (%)"


def _percent() -> PercentFormatter:
    return PercentFormatter(1, symbol=None)  # one for each axis: it looks at its axis to choose the decimals


def _thousands(value: float, _: int) -> str:
    """``0.5``, ``38.2``, ``174.5k``, ``2.3M``."""
    return f"{value:.3g}" if value < 1000 else EngFormatter(places=1, sep="")(value)


def _add_legend(figure: Figure, axes: Axes) -> None:
    """Below the axes, with full markers, in as many columns as fit; the figure grows by the legend's rows."""
    handles, names = axes.get_legend_handles_labels()
    column_width = 0.6 + 0.075 * max(map(len, names))
    columns = max(1, int(WIDTH / column_width))
    figure.set_figheight(figure.get_figheight() + 0.18 * math.ceil(len(names) / columns))
    legend = figure.legend(handles, names, loc="outside lower center", ncols=columns)
    for line in legend.get_lines():
        line.set_fillstyle("full")

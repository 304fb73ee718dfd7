"""Figures of explanations for notebooks and reports, without pyplot's global state."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unroll.inference.explaining.explanation import Explanation
from unroll.inference.explaining.gradients import Sensitivity
from unroll.pages.drawing import (
    COLORS,
    EDGE,
    INK,
    LINE,
    NUMBERS,
    STYLE,
    TICK,
    WIDTH,
    mark_powers,
    set_margins,
    shorten,
    width_of,
)

FEWEST = 5  # gradients of a mean that is drawn
LEAST = 0.01  # probability of a label somewhere, for it to be drawn
DECADES = 4  # powers of ten that the colours of the sensitivities span
ROW = 0.2  # inches of a token
PANEL, BETWEEN = 1.95, 0.3  # inches of a panel, and between two
SQUARE, LEAST_HEIGHT = 2.5, 0.8  # inches of a square, with the bar of its shades
PERCENTS = (0.01, 1, 10, 50, 90, 99, 99.99)  # marks of the axis of log-odds


@rc_context(STYLE)
def explanation_figure(found: Explanation) -> Figure:
    """Draw an explanation, one row for each token.

    - Classification, multilabel: the output as if the text ended there, the change of the state, how far the output
      feels the token, and its influence; all for the explained label.
    - Labels of tokens: the probabilities at every step, and how far each label, in rows, feels each token, in columns,
      and is influenced by it.
    """
    return _labels_figure(found) if found.is_per_token else _text_figure(found)


@rc_context(STYLE)
def sensitivity_figure(means: Mapping[str, Sensitivity]) -> Figure:
    """Draw how far the outputs of networks, by name, feel a token, against its distance from the output.

    Distances with fewer than FEWEST gradients are left out, and means of 0.
    """
    figure = Figure(figsize=(WIDTH, 3))
    axes = figure.add_subplot()
    for index, (name, mean) in enumerate(means.items()):
        drawn = (mean.counts >= FEWEST) & (mean.means > 0)
        color = COLORS[index % len(COLORS)]
        axes.plot(mean.distances[drawn], mean.means[drawn], label=shorten(name), color=color)
    axes.set(yscale="log", xlabel="tokens before the output", ylabel="mean of ‖∂y/∂x‖")
    mark_powers(axes.yaxis)
    if any(mean.distances[0] < 0 for mean in means.values()):
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
    axes.legend()
    set_margins(figure, EDGE + LINE + NUMBERS + TICK, EDGE + 2 * LINE + TICK, right=NUMBERS / 2)
    return figure


def _text_figure(found: Explanation) -> Figure:
    label, rows = int(found.labels[0]), np.arange(len(found.tokens))
    name, tokens = shorten(found.label_names[label]), [shorten(token) for token in found.tokens]
    texts = {  # title to the name of the axis
        "Output, as if it ended there": f"probability of {name} (%)",
        "Change of the state": "‖sᵢ − sᵢ₋₁‖",
        "Felt by the output": "‖∂y/∂xᵢ‖",
        "Influence": f"log-odds of {name}",
    }
    widths = [max(PANEL, width_of([title], size=10), width_of([axis])) for title, axis in texts.items()]
    left, bottom, top = EDGE + width_of(tokens) + TICK, EDGE + 2 * LINE + TICK, 1.5 * LINE
    figure = Figure(figsize=(left + sum(widths) + 3 * BETWEEN + EDGE + BETWEEN / 2, bottom + ROW * len(rows) + top))
    panels = figure.subplots(1, 4, sharey=True, width_ratios=widths)
    set_margins(figure, left, bottom, right=EDGE + BETWEEN / 2, top=top, between=(BETWEEN, 0))
    for axes, (title, axis) in zip(panels, texts.items(), strict=True):
        axes.set(title=title, xlabel=axis)
    for axes in panels[1:]:  # its rows are those of the first panel
        axes.yaxis.set_visible(False)
        axes.hlines(rows, 0, 1, INK, linewidth=0.8, alpha=0.15, zorder=0.5, transform=axes.get_yaxis_transform())
    output, change, felt, influence = panels

    output.plot(found.prefix_log_odds[:, label], rows, color=COLORS[0], marker="o", markersize=3)
    low, high = output.get_xlim()
    share = np.array(PERCENTS) / 100
    marks = np.log(share / (1 - share))
    seen = (low <= marks) & (marks <= high)
    output.set_xticks(marks[seen], [f"{it:g}" for it, is_seen in zip(PERCENTS, seen, strict=True) if is_seen])

    change.barh(rows, found.state_changes, color=COLORS[0])

    felt.plot(found.sensitivity, rows, color=COLORS[0], marker="o", markersize=3)
    felt.set(xscale="log")
    mark_powers(felt.xaxis)

    influence.barh(rows, found.influence[:, label], color=COLORS[0])
    for axes in (output, influence):
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
    output.set_yticks(rows, tokens)
    output.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _labels_figure(found: Explanation) -> Figure:
    kept = np.flatnonzero((found.probabilities >= LEAST).any(axis=0))
    names, tokens = [shorten(found.label_names[label]) for label in kept], [shorten(token) for token in found.tokens]
    left, top = EDGE + width_of(tokens) + TICK, 1.5 * LINE
    bottom = EDGE + width_of([*names, *tokens]) + TICK
    height = max(ROW * len(tokens), LEAST_HEIGHT)
    figure = Figure(figsize=(left + 3 * SQUARE + 2 * BETWEEN + 3 * NUMBERS + EDGE, bottom + height + top))
    output, felt, influence = figure.subplots(1, 3, sharey=True)
    set_margins(figure, left, bottom, right=NUMBERS + EDGE, top=top, between=(NUMBERS + BETWEEN, 0))
    output.set_yticks(range(len(tokens)), tokens)
    _square(output, found.probabilities[:, kept], names, "Probability", "Blues", 0, 1)

    with np.errstate(divide="ignore"):
        decades = np.log10(found.sensitivity)
    most = float(np.max(decades, initial=-np.inf, where=np.isfinite(decades)))
    most = most if np.isfinite(most) else 0.0
    _square(felt, decades, tokens, "log₁₀ ‖∂y/∂xᵢ‖", "Blues", most - DECADES, most)
    reach = float(np.abs(found.influence).max()) or 1.0
    _square(influence, found.influence, tokens, "Influence, log-odds", "PuOr", -reach, reach)
    for axes in (felt, influence):  # their rows are those of the first square
        axes.yaxis.set_visible(False)
    return figure


def _square(axes: Axes, values: np.ndarray, columns: list[str], title: str, cmap: str, low: float, high: float) -> None:
    """Draw values (T, C) as shades, with the tokens in rows."""
    picture = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set(title=title)
    axes.grid(visible=False)
    assert axes.figure is not None
    axes.figure.colorbar(picture, ax=axes, fraction=0.05).outline.set_visible(False)

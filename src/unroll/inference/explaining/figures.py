"""Figures of explanations for notebooks and reports, without pyplot's global state."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from unroll.inference.explaining.explanation import Explanation
from unroll.inference.explaining.gradients import Sensitivity
from unroll.pages.drawing import COLORS, INK, STYLE, WIDTH, shorten

FEWEST = 5  # gradients of a mean that is drawn
LEAST = 0.01  # probability of a label somewhere, for it to be drawn
DECADES = 4  # powers of ten that the colours of the sensitivities span
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
    axes.set_ylim(*_decades(axes.get_ylim()))
    _mark_powers(axes.yaxis)
    if any(mean.distances[0] < 0 for mean in means.values()):
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
    axes.legend()
    return figure


def _text_figure(found: Explanation) -> Figure:
    label, rows = int(found.labels[0]), np.arange(len(found.tokens))
    figure = Figure(figsize=(2 * WIDTH, 1 + 0.2 * len(rows)))
    output, change, felt, influence = figure.subplots(1, 4, sharey=True)
    name = shorten(found.label_names[label])

    output.plot(found.prefix_log_odds[:, label], rows, color=COLORS[0], marker="o", markersize=3)
    output.set(title="Output, as if it ended there", xlabel=f"probability of {name} (%)")
    low, high = output.get_xlim()
    share = np.array(PERCENTS) / 100
    marks = np.log(share / (1 - share))
    seen = (low <= marks) & (marks <= high)
    output.set_xticks(marks[seen], [f"{it:g}" for it, is_seen in zip(PERCENTS, seen, strict=True) if is_seen])

    change.barh(rows, found.state_changes, color=COLORS[0])
    change.set(title="Change of the state", xlabel="‖sᵢ − sᵢ₋₁‖")

    felt.plot(found.sensitivity, rows, color=COLORS[0], marker="o", markersize=3)
    felt.set(title="Felt by the output", xlabel="‖∂y/∂xᵢ‖", xscale="log")
    felt.set_xlim(*_decades(felt.get_xlim()))
    _mark_powers(felt.xaxis)

    influence.barh(rows, found.influence[:, label], color=COLORS[0])
    influence.set(title="Influence", xlabel=f"log-odds of {name}")
    for axes in (output, influence):
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
    output.set_yticks(rows, [shorten(token) for token in found.tokens])
    output.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _decades(limits: tuple[float, float]) -> tuple[float, float]:
    """The powers of ten around the limits of a logarithmic axis."""
    low = math.floor(math.log10(limits[0]))
    return 10.0**low, 10.0 ** max(math.ceil(math.log10(limits[1])), low + 1)


def _mark_powers(axis: Axis) -> None:
    """Name the powers of ten of a logarithmic axis, and no numbers between them."""
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _labels_figure(found: Explanation) -> Figure:
    size = 0.2 * len(found.tokens)
    figure = Figure(figsize=(2 * WIDTH, 2 + size))
    output, felt, influence = figure.subplots(1, 3)
    kept = np.flatnonzero((found.probabilities >= LEAST).any(axis=0))
    names = [shorten(found.label_names[label]) for label in kept]
    _square(output, found, found.probabilities[:, kept], names, "Probability", "Blues", 0, 1)

    with np.errstate(divide="ignore"):
        decades = np.log10(found.sensitivity)
    most = float(np.max(decades, initial=-np.inf, where=np.isfinite(decades)))
    most = most if np.isfinite(most) else 0.0
    tokens = [shorten(token) for token in found.tokens]
    _square(felt, found, decades, tokens, "log₁₀ ‖∂y/∂xᵢ‖", "Blues", most - DECADES, most)
    reach = float(np.abs(found.influence).max()) or 1.0
    _square(influence, found, found.influence, tokens, "Influence, log-odds", "PuOr", -reach, reach)
    return figure


def _square(
    axes: Axes,
    found: Explanation,
    values: np.ndarray,
    columns: list[str],
    title: str,
    cmap: str,
    low: float,
    high: float,
) -> None:
    """Draw values (T, C) as shades, with the tokens in rows."""
    picture = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(found.tokens)), [shorten(token) for token in found.tokens])
    axes.set(title=title)
    axes.grid(visible=False)
    assert axes.figure is not None
    axes.figure.colorbar(picture, ax=axes, fraction=0.05).outline.set_visible(False)

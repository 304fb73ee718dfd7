"""Figures of a study: its trials in the search space, parameter importances, and the trade-off of two objectives."""

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from unroll.pages.drawing import (
    COLORS,
    EDGE,
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
from unroll.sweep.studies import best_trials, complete_trials

VALUES = 0.6  # inches of the widest value of an objective that marks an axis
PANEL = 1.4  # inches of height
MIN_TRIALS = 4  # complete trials, without which importances are meaningless


def study_figures(
    study: Study, objectives: Sequence[str], importances: dict[str, dict[str, float]]
) -> dict[str, Figure]:
    """Name to figure: `search_space`, `importance`, and for two objectives `trade_off`, if there is data for it."""
    complete = complete_trials(study)
    figures = {}
    if any(trial.params for trial in complete):
        figures["search_space"] = search_space_figure(study, objectives)
    if importances:
        figures["importance"] = importance_figure(importances)
    if complete and len(objectives) == 2:
        figures["trade_off"] = trade_off_figure(study, objectives)
    return figures


def param_importances(study: Study, objectives: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each objective, the share of each parameter in its variance, by fANOVA (Hutter et al. 2014).

    An objective with equal values in all trials is left out; with fewer than `MIN_TRIALS` complete trials, all are.
    """
    complete = complete_trials(study)
    if len(complete) < MIN_TRIALS:
        return {}
    shares = {}
    for index, objective in enumerate(objectives):
        if len({trial.values[index] for trial in complete}) > 1:
            shares[objective] = get_param_importances(
                study,
                evaluator=FanovaImportanceEvaluator(seed=0),
                target=lambda trial, index=index: trial.values[index],  # type: ignore[misc]
            )
    return shares


@rc_context(STYLE)
def importance_figure(importances: dict[str, dict[str, float]]) -> Figure:
    """One panel per objective with a bar per parameter."""
    names = list(next(iter(importances.values())))
    figure = Figure(figsize=(WIDTH, len(importances) * (1.0 + 0.3 * len(names))))
    for panel, (objective, shares) in enumerate(importances.items(), start=1):
        axes = figure.add_subplot(len(importances), 1, panel)
        ranked = sorted(shares, key=shares.__getitem__)
        bars = axes.barh([shorten(name) for name in ranked], [shares[name] for name in ranked], color=COLORS[0])
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axes.set(title=f"Importance for {objective}", xlabel="share of the variance (fANOVA)", xlim=(0, 1.1))
        axes.grid(visible=False, axis="y")
    bottom, top = EDGE + 2 * LINE + TICK, 1.5 * LINE
    set_margins(figure, EDGE + width_of(map(shorten, names)) + TICK, bottom, top=top, between=(0, bottom + top))
    return figure


@rc_context(STYLE)
def search_space_figure(study: Study, objectives: Sequence[str]) -> Figure:
    """One panel per parameter and objective: the objective against the parameter; the best trials are ringed."""
    complete, best = complete_trials(study), {trial.number for trial in best_trials(study)}
    names = sorted({name for trial in complete for name in trial.params})
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    choices = [
        shorten(str(choice)) for trial in complete for choice in trial.params.values() if isinstance(choice, str)
    ]
    left, bottom = EDGE + LINE + VALUES + TICK, EDGE + 2 * LINE + TICK + width_of(choices) / 2  # sin 30°
    top, between = 2.5 * LINE, bottom + LINE
    height = bottom + top + PANEL * rows * len(objectives) + between * (rows * len(objectives) - 1)
    figure = Figure(figsize=(1.2 + 2.6 * columns, height))
    for index, objective in enumerate(objectives):
        for column, name in enumerate(names):
            axes = figure.add_subplot(rows * len(objectives), columns, index * rows * columns + column + 1)
            _scatter(axes, name, [trial for trial in complete if name in trial.params], index, best)
            axes.set(xlabel=shorten(name), ylabel=objective if column % columns == 0 else "")
    set_margins(figure, left, bottom, NUMBERS / 2, top, between=(VALUES + TICK, between))
    title = f"{len(complete)} complete trials; {'the best is' if len(best) == 1 else 'the best are'} ringed"
    figure.suptitle(title, y=1 - EDGE / figure.get_figheight(), va="top")
    return figure


@rc_context(STYLE)
def trade_off_figure(study: Study, objectives: Sequence[str]) -> Figure:
    """The two objectives of each complete trial, with the Pareto front."""
    complete, front = complete_trials(study), sorted(best_trials(study), key=lambda trial: trial.values[0])
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.add_subplot()
    x, y = zip(*(trial.values for trial in complete), strict=True)
    axes.scatter(x, y, s=18, color=COLORS[5], label="trials")
    axes.plot(*zip(*(trial.values for trial in front), strict=True), "o-", color=COLORS[3], label="Pareto front")
    for trial in front:
        axes.annotate(str(trial.number), trial.values, textcoords="offset points", xytext=(4, 4), fontsize=7)
    axes.set(title="Trade-off", xlabel=objectives[0], ylabel=objectives[1])
    axes.legend()
    set_margins(figure, EDGE + LINE + VALUES + TICK, EDGE + 2.5 * LINE + TICK, NUMBERS / 2, top=1.5 * LINE)
    return figure


def _scatter(axes: Axes, name: str, trials: Sequence[FrozenTrial], index: int, best: set[int]) -> None:
    distribution = trials[0].distributions[name]
    values = [trial.params[name] for trial in trials]
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        values = [choices.index(value) for value in values]
        axes.set_xticks(range(len(choices)), [shorten(str(choice)) for choice in choices], rotation=30, ha="right")
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log:
        axes.set_xscale("log")
    scores = [trial.values[index] for trial in trials]
    edges = [COLORS[3] if trial.number in best else "none" for trial in trials]
    axes.scatter(values, scores, s=22, color=COLORS[0], edgecolors=edges, linewidths=2)
    if axes.get_xscale() == "log":
        mark_powers(axes.xaxis)

"""The report's sentences: conclusions, and what there is to see in each figure for those who do not see it."""

from collections.abc import Sequence
from statistics import mean

import numpy as np
import pandas as pd

from unroll.evaluation.pairs import standing
from unroll.evaluation.pareto import COSTS, pareto_front
from unroll.evaluation.runs import Run
from unroll.evaluation.slices import Slices
from unroll.evaluation.tables import part_text, score_text

MISTAKES = 3  # that the words on a confusion matrix name


def enumerate_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def who_beats_whom(pairs: pd.DataFrame, model: str) -> str:
    """``bilstm beats lstm and fcnn; it cannot be told from gru.``"""
    parts = [
        f"{says} {enumerate_words(others)}"
        for says, others in zip(("beats", "cannot be told from", "is beaten by"), standing(pairs, model), strict=True)
        if others
    ]
    return f"{model} {'; it '.join(parts)}."


def fronts_in_words(board: pd.DataFrame, monitor: str) -> list[tuple[str, str]]:
    """Each cost, and the models on its front, cheapest first."""
    return [(cost.title, enumerate_words(pareto_front(board, monitor, cost)) or "none") for cost in COSTS]


def scores_seen(board: pd.DataFrame, metric: str) -> str:
    """The test scores, in the order of the picture."""
    scores = [f"{row['model']} {score_text(metric, row[metric], row[f'{metric}_sd'])}" for _, row in board.iterrows()]
    return f"From top to bottom, in per cent: {', '.join(scores)}."


def costs_seen(board: pd.DataFrame, monitor: str) -> str:
    fronts = "; ".join(f"by {cost}: {models}" for cost, models in fronts_in_words(board, monitor))
    return f"Four panels, a model each point, cheaper to the left. On the front {fronts}."


def lengths_seen(slices: Slices) -> str:
    """Each model's score on the shortest and the longest texts."""
    first, last = slices.sizes.index[0], slices.sizes.index[-1]
    lines = [
        f"{model} {part_text(row[first], slices.sizes[first])} and {part_text(row[last], slices.sizes[last])}"
        for model, row in slices.scores.iterrows()
    ]
    return f"In per cent, on texts of {first} and of {last} tokens: {', '.join(lines)}."


def curves_seen(runs: Sequence[Run], models: Sequence[str]) -> str:
    """Each model's first and best epoch, means over its seeds."""
    lines = []
    for model in models:
        mine = [run for run in runs if run.model == model and len(run.history) > 1]
        if not mine:
            continue
        first = mean(run.history[run.monitor].iloc[0] for run in mine)
        best = mean(run.best_score for run in mine)
        lines.append(f"{model} from {score_text('score', first)} to {score_text('score', best)}")
    return f"In per cent, from the first epoch to the best: {', '.join(lines)}."


def confusion_seen(confusion: pd.DataFrame) -> str:
    """How much is right, and the most frequent mistakes."""
    counts = confusion.to_numpy()
    mistakes = counts - np.diag(np.diag(counts))
    worst = [i for i in np.argsort(-mistakes, axis=None, kind="stable")[:MISTAKES].tolist() if mistakes.flat[i]]
    named = [
        f"{confusion.index[i // len(counts)]} for {confusion.columns[i % len(counts)]} ({mistakes.flat[i]:,})"
        for i in worst
    ]
    right = f"{np.diag(counts).sum():,} of {counts.sum():,} are right"
    return f"{right}; most often taken: {enumerate_words(named)}." if named else f"{right}."

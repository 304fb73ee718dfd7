from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unroll.evaluation.figures import (
    confusion_figure,
    learning_curve_figure,
    length_figure,
    model_styles,
    score_figure,
)
from unroll.evaluation.leaderboard import leaderboard, scores_by_length
from unroll.evaluation.runs import Run, read_runs


@pytest.fixture
def runs(classification_runs: Path) -> list[Run]:
    return read_runs(classification_runs)


def test_learning_curve_is_the_mean_of_the_seeds_that_reached_the_epoch(runs: list[Run]) -> None:
    axes = learning_curve_figure(runs).axes[0]
    line = next(line for line in axes.lines if line.get_label() == "gru")
    first, second = (run.history["val/accuracy"].to_numpy() for run in runs if run.model == "gru")
    assert line.get_xdata() == pytest.approx(np.arange(1, 7))
    assert line.get_ydata() == pytest.approx(np.append((first + second[:5]) / 2, second[5]))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "validation accuracy (%)")


def test_test_scores_stand_in_the_order_of_the_leaderboard(runs: list[Run]) -> None:
    axes = score_figure(runs).axes[0]
    board = leaderboard(runs)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(board["model"])
    means = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert means == pytest.approx(list(board["test/accuracy"]))


def test_scores_by_length_are_drawn_for_every_bucket(runs: list[Run]) -> None:
    axes = length_figure(runs).axes[0]
    table = scores_by_length(runs)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(table["length"].unique())
    for line in axes.lines:
        assert line.get_ydata() == pytest.approx(table.loc[table["model"] == line.get_label(), "score"].to_numpy())


def test_confusion_matrix_shows_gold_in_rows_with_its_counts() -> None:
    names = ["no", "$a$ or $\\b"]  # the second would be a broken formula
    confusion = pd.DataFrame([[3, 1], [0, 0]], index=names, columns=names)
    figure = confusion_figure(confusion)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "3",
        (1, 0): "1",
        (0, 1): "0",
        (1, 1): "0",
    }
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "gold")


def test_a_large_confusion_matrix_leaves_its_counts_out() -> None:
    names = [f"label {index}" for index in range(40)]
    assert not confusion_figure(pd.DataFrame(np.eye(40, dtype=int), index=names, columns=names)).axes[0].texts


def test_a_model_keeps_its_style_and_shares_it_with_none(runs: list[Run]) -> None:
    models = [replace(runs[0], model=f"model {index}") for index in range(40)]
    styles = model_styles(models)
    assert len({tuple(style.values()) for style in styles.values()}) == 40
    assert styles == model_styles(reversed(models))

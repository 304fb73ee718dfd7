import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pages.drawn import assert_fits
from unroll.evaluation.figures import (
    confusion_figure,
    cost_figure,
    describe_confusion,
    describe_costs,
    describe_curves,
    describe_lengths,
    describe_scores,
    fronts_in_words,
    learning_curve_figure,
    length_figure,
    model_styles,
    score_figure,
)
from unroll.evaluation.leaderboard import leaderboard, with_intervals_over_texts
from unroll.evaluation.runs import Run, read_runs
from unroll.evaluation.slices import Slices, slices_by_length
from unroll.pages.drawing import INK


@pytest.fixture
def runs(classification_runs: Path) -> list[Run]:
    return read_runs(classification_runs)


def test_learning_curve_is_the_mean_over_seeds_as_far_as_all_were_trained(runs: list[Run]) -> None:
    axes = learning_curve_figure(runs).axes[0]
    line = next(line for line in axes.lines if line.get_label() == "gru")
    first, second = (run.history["val/accuracy"].to_numpy() for run in runs if run.model == "gru")
    assert (len(first), len(second)) == (5, 6)
    assert line.get_xdata() == pytest.approx(np.arange(1, 6))
    assert line.get_ydata() == pytest.approx((first + second[:5]) / 2)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "validation accuracy (%)")


def test_test_scores_are_in_the_order_of_the_leaderboard_with_their_intervals_over_texts(runs: list[Run]) -> None:
    board = with_intervals_over_texts(leaderboard(runs), runs)
    axes = score_figure(runs, board).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(board["model"])
    means = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert means == pytest.approx(list(board["test/accuracy"]))
    bars = [container.lines[2][0].get_segments()[0][:, 0] for container in axes.containers]
    ends = board[["test/accuracy_texts_low", "test/accuracy_texts_high"]].to_numpy()
    assert np.array(bars) == pytest.approx(ends)


@pytest.mark.parametrize(("score", "ends"), [(1.0, (0.9, 1.0)), (0.0, (0.0, 0.1)), (0.5, (0.4, 0.6))])
def test_no_axis_of_scores_is_longer_than_they_can_be(runs: list[Run], score: float, ends: tuple[float, float]) -> None:
    equal = []
    for run in runs:
        history = run.history.assign(**{"val/accuracy": score})
        equal.append(replace(run, best_score=score, metrics={"test/accuracy": score}, history=history))
    board = leaderboard(equal).assign(**{f"test/accuracy_texts_{end}": score for end in ("low", "high")})
    limits = [score_figure(equal, board).axes[0].get_xlim(), learning_curve_figure(equal).axes[0].get_ylim()]
    limits += [axes.get_ylim() for axes in cost_figure(equal).axes]
    for low, high in limits:
        assert ends[0] <= low < high <= ends[1]
        assert low <= score <= high


def test_marks_at_the_end_of_an_axis_are_drawn_whole(runs: list[Run]) -> None:
    equal = [replace(run, best_score=1.0) for run in runs]
    for axes in cost_figure(equal).axes:
        assert axes.lines and not any(line.get_clip_on() for line in axes.lines)


def test_seeds_with_equal_scores_are_drawn_apart(runs: list[Run]) -> None:
    equal = [replace(run, metrics={"test/accuracy": 0.8}) for run in runs if run.model == "gru"]
    axes = score_figure(equal, with_intervals_over_texts(leaderboard(equal), equal)).axes[0]
    (points,) = [dots for dots in axes.collections if len(dots.get_offsets()) == 2]
    (x, y), (other_x, other_y) = points.get_offsets()
    assert x == other_x == 0.8
    assert abs(y - other_y) > 0.1


def test_a_score_without_an_interval_is_drawn(runs: list[Run]) -> None:
    metric = "test/accuracy"
    board = leaderboard(runs).assign(**{f"{metric}_texts_low": math.nan, f"{metric}_texts_high": math.nan})
    score_figure(runs, board).canvas.draw()


def test_scores_by_length_are_drawn_for_every_part(runs: list[Run]) -> None:
    slices = slices_by_length(runs)
    axes = length_figure(runs, slices).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(slices.sizes.index)
    for line in axes.lines:
        assert line.get_ydata() == pytest.approx(slices.scores.loc[line.get_label()].to_numpy())


def test_a_model_that_is_fitted_at_once_has_no_learning_curve(runs: list[Run]) -> None:
    fitted = [replace(run, history=run.history[:1]) if run.model == "elman" else run for run in runs]
    axes = learning_curve_figure(fitted).axes[0]
    assert [line.get_label() for line in axes.lines] == ["gru"]
    (style,) = [line for line in learning_curve_figure(runs).axes[0].lines if line.get_label() == "gru"]
    assert axes.lines[0].get_color() == style.get_color()


def test_validation_scores_are_drawn_against_each_cost_and_the_front_is_filled(runs: list[Run]) -> None:
    slow = [replace(run, tokens_per_second=1.0) if run.model == "elman" else run for run in runs]
    figure = cost_figure(slow)
    board = leaderboard(slow).set_index("model")
    labels = ["parameters\n← fewer is better", "size on disk (bytes)\n← smaller is better"]
    labels += ["training time (s)\n← shorter is better", "tokens/s\nfaster is better →"]
    assert [axes.get_xlabel() for axes in figure.axes] == labels
    for axes, column, on_front in zip(
        figure.axes,
        ["parameters", "size_bytes", "training_seconds", "tokens_per_second"],
        [{"elman", "gru"}, {"gru"}, {"gru"}, {"gru"}],
        strict=True,
    ):
        points = {line.get_label(): line for line in axes.lines if line.get_label() in board.index}
        for model, point in points.items():
            assert point.get_xydata().tolist() == [board.loc[model, [column, "val/accuracy"]].tolist()]
        assert {model for model, point in points.items() if point.get_fillstyle() == "full"} == on_front
    assert {line.get_fillstyle() for line in figure.legends[0].get_lines()} == {"full"}
    assert not any(axes.xaxis_inverted() for axes in figure.axes)


def test_a_model_without_a_speed_does_not_stretch_that_panel(runs: list[Run]) -> None:
    unread = [replace(run, tokens_per_second=math.nan) if run.model == "elman" else run for run in runs]
    assert [tick.get_text() for tick in cost_figure(unread).axes[3].get_xticklabels()] == ["20.0k"]
    cost_figure([replace(run, tokens_per_second=math.nan) for run in runs]).canvas.draw()


def test_a_cost_of_nothing_is_drawn_too(runs: list[Run]) -> None:
    cost_figure([replace(run, training_seconds=0.0, parameters=0) for run in runs]).canvas.draw()


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


@pytest.mark.parametrize("count", [1, 8])
def test_what_is_written_beside_the_axes_fits(runs: list[Run], count: int) -> None:
    many = [replace(run, model=f"{run.model}_with_a_long_name_{index}") for index in range(count) for run in runs]
    assert_fits(learning_curve_figure(many))
    assert_fits(cost_figure(many))
    assert_fits(length_figure(runs, slices_by_length(runs)))
    assert_fits(score_figure(many, with_intervals_over_texts(leaderboard(many), many)))
    names = ["a label with a long name", *map(str, range(count * 4))]
    assert_fits(confusion_figure(pd.DataFrame(np.eye(len(names), dtype=int), index=names, columns=names)))


def test_a_model_keeps_its_style_and_shares_it_with_none(runs: list[Run]) -> None:
    models = [replace(runs[0], model=f"model {index}") for index in range(40)]
    styles = model_styles(models)
    assert len({tuple(style.values()) for style in styles.values()}) == 40
    assert styles == model_styles(reversed(models))


def test_markers_have_an_edge_as_dark_as_the_text(runs: list[Run]) -> None:
    assert {style["markeredgecolor"] for style in model_styles(runs).values()} == {INK}


def test_scores_are_described_in_the_order_of_the_picture(runs: list[Run]) -> None:
    board = leaderboard(runs)
    gru, elman = (
        f"{100 * row['test/accuracy']:.2f} ± {100 * row['test/accuracy_sd']:.2f}" for _, row in board.iterrows()
    )
    assert describe_scores(board, "test/accuracy") == f"From top to bottom, in per cent: gru {gru}, elman {elman}."


def test_each_front_is_described(runs: list[Run]) -> None:
    board = leaderboard(runs)
    assert fronts_in_words(board, "val/accuracy")[:2] == [
        ("parameters", "elman and gru"),
        ("size on disk (bytes)", "gru"),
    ]
    assert "by parameters: elman and gru; by size on disk (bytes): gru" in describe_costs(board, "val/accuracy")


def test_a_front_without_models_is_none(runs: list[Run]) -> None:
    board = leaderboard(runs).assign(tokens_per_second=float("nan"))
    assert fronts_in_words(board, "val/accuracy")[3] == ("tokens/s", "none")


def test_scores_of_short_and_long_texts_are_described() -> None:
    slices = Slices(pd.Series([50, 5], ["1-3", "4-9"]), pd.DataFrame([[0.5, 0.25]], ["gru"], ["1-3", "4-9"]))
    assert describe_lengths(slices) == "In per cent, on texts of 1-3 and of 4-9 tokens: gru 50.00 and (25)."


def test_curves_are_described_from_the_first_epoch_to_the_best(runs: list[Run]) -> None:
    fitted = [replace(run, history=run.history[:1]) if run.model == "elman" else run for run in runs]
    first = sum(run.history["val/accuracy"][0] for run in runs if run.model == "gru") / 2
    best = sum(run.best_score for run in runs if run.model == "gru") / 2
    described = f"In per cent, from the first epoch to the best: gru from {100 * first:.2f} to {100 * best:.2f}."
    assert describe_curves(fitted, ["gru", "elman"]) == described


def test_the_most_frequent_errors_of_a_confusion_matrix_are_described() -> None:
    names = ["a", "b"]
    confusion = pd.DataFrame([[30, 4], [5, 1]], index=names, columns=names)
    assert (
        describe_confusion(confusion)
        == "31 of 40 are right; most frequent errors: b predicted as a (5) and a predicted as b (4)."
    )
    assert describe_confusion(pd.DataFrame([[3, 0], [0, 4]], index=names, columns=names)) == "7 of 7 are right."

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from unroll.evaluation.leaderboard import leaderboard
from unroll.evaluation.runs import Run, read_runs
from unroll.evaluation.slices import Slices
from unroll.evaluation.wording import (
    confusion_seen,
    costs_seen,
    curves_seen,
    enumerate_words,
    fronts_in_words,
    lengths_seen,
    scores_seen,
    who_beats_whom,
)


@pytest.fixture
def runs(classification_runs: Path) -> list[Run]:
    return read_runs(classification_runs)


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_enumerated(words: list[str], text: str) -> None:
    assert enumerate_words(words) == text


def test_the_conclusion_names_whom_a_model_beats_and_whom_it_does_not() -> None:
    pairs = pd.DataFrame(
        [("a", "b", 0.1, True), ("a", "c", 0.2, True), ("a", "d", 0.0, False), ("a", "e", -0.1, True)],
        columns=["first", "second", "difference", "significant"],
    )
    assert who_beats_whom(pairs, "a") == "a beats b and c; it cannot be told from d; it is beaten by e."
    assert who_beats_whom(pairs, "d") == "d cannot be told from a."


def test_scores_are_told_in_the_order_of_the_picture(runs: list[Run]) -> None:
    board = leaderboard(runs)
    gru, elman = (
        f"{100 * row['test/accuracy']:.2f} ± {100 * row['test/accuracy_sd']:.2f}" for _, row in board.iterrows()
    )
    assert scores_seen(board, "test/accuracy") == f"From top to bottom, in per cent: gru {gru}, elman {elman}."


def test_each_front_is_told(runs: list[Run]) -> None:
    board = leaderboard(runs)
    assert fronts_in_words(board, "val/accuracy")[:2] == [
        ("parameters", "elman and gru"),
        ("size on disk (bytes)", "gru"),
    ]
    assert "by parameters: elman and gru; by size on disk (bytes): gru" in costs_seen(board, "val/accuracy")


def test_a_front_without_models_is_none(runs: list[Run]) -> None:
    board = leaderboard(runs).assign(tokens_per_second=float("nan"))
    assert fronts_in_words(board, "val/accuracy")[3] == ("tokens/s on one core", "none")


def test_scores_of_short_and_long_texts_are_told() -> None:
    slices = Slices(pd.Series([50, 5], ["1-3", "4-9"]), pd.DataFrame([[0.5, 0.25]], ["gru"], ["1-3", "4-9"]))
    assert lengths_seen(slices) == "In per cent, on texts of 1-3 and of 4-9 tokens: gru 50.00 and (25)."


def test_curves_are_told_from_the_first_epoch_to_the_best(runs: list[Run]) -> None:
    fitted = [replace(run, history=run.history[:1]) if run.model == "elman" else run for run in runs]
    first = sum(run.history["val/accuracy"][0] for run in runs if run.model == "gru") / 2
    best = sum(run.best_score for run in runs if run.model == "gru") / 2
    told = f"In per cent, from the first epoch to the best: gru from {100 * first:.2f} to {100 * best:.2f}."
    assert curves_seen(fitted, ["gru", "elman"]) == told


def test_the_most_frequent_mistakes_of_a_confusion_matrix_are_told() -> None:
    names = ["a", "b"]
    confusion = pd.DataFrame([[30, 4], [5, 1]], index=names, columns=names)
    assert confusion_seen(confusion) == "31 of 40 are right; most often taken: b for a (5) and a for b (4)."
    assert confusion_seen(pd.DataFrame([[3, 0], [0, 4]], index=names, columns=names)) == "7 of 7 are right."
